package blocks

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// Select returns the series of the block that match all matchers and have chunks in the range, sorted by labels.Compare, with
// Prometheus' meaning of matchers: a label that a series lacks has the value "". A series may turn out to have no sample in the
// range if its timestamps are its own (runs in chunk pages).
//
// It reads in at most three stages, each one call of r.ReadRanges: postings (only for a selector
// without a metric name or with one of more than 4 MiB of series pages); series pages, runs and speculated chunk pages; the
// remaining chunk pages. Everything read is checked: a flipped bit gives model.ErrCorrupt, here or from Samples, with key and offset. Decoding
// of chunks is left to Samples.
func Select(ctx context.Context, r RangeReader, m *Meta, q *Query) (*model.Selection, error) {
	if m.Format != Native {
		return nil, fmt.Errorf("select from block %s: format %d: %w", m.ID, m.Format, model.ErrVersion)
	}
	rng := q.Range.Intersect(m.Range())
	if rng.Empty() {
		return &model.Selection{}, nil
	}
	s := &selector{r: r, m: m, q: q, key: Key(m), rng: rng}
	s.sel = &selection{key: s.key, rng: rng, pages: map[int64]*chunkPage{}}
	stretches, err := s.plan(ctx)
	if err != nil || len(stretches) == 0 {
		return &model.Selection{}, err
	}
	if err := s.scan(ctx, stretches); err != nil {
		return nil, err
	}
	if err := s.fetchChunks(ctx); err != nil {
		return nil, err
	}
	if q.Stats != nil {
		s.count(q.Stats)
	}
	return s.sel.result(), nil
}

// selector is one Select at work.
type selector struct {
	r     RangeReader
	m     *Meta
	q     *Query
	key   string
	rng   model.TimeRange
	sel   *selection
	read  int64 // bytes
	stage int   // of the last reads, for a trace of them
	state []runState
	// for Stats: the pages of runs, and the bytes of the series pages with a match
	runPages   []native.RunPage
	seriesHits int64
	// speculated chunk bytes, ascending by offset
	speculated []fetched
}

type fetched struct {
	offset int64
	data   []byte
}

// stretch is a run of whole series pages and the chunk pages that belong to them.
type stretch struct {
	series, chunks blob.Range
}

// plan returns the series pages to scan, reading postings if it must.
func (s *selector) plan(ctx context.Context) ([]stretch, error) {
	names, ok := metricNames(s.q.Matchers)
	if ok {
		found := s.entries(names)
		size := int64(0)
		for _, st := range found {
			size += st.series.Length
		}
		if size <= s.q.scanBytes() {
			return found, nil
		}
	}
	return s.narrow(ctx)
}

// metricNames returns the metric names that the matchers allow, if they name them.
func metricNames(matchers []*labels.Matcher) ([]string, bool) {
	const most = 64
	for _, m := range matchers {
		if m.Name != index.MetricName {
			continue
		}
		var names []string
		switch m.Type {
		case labels.MatchEqual:
			names = []string{m.Value}
		case labels.MatchRegexp:
			names = slices.Clone(m.SetMatches())
		default:
			continue
		}
		if len(names) > 0 && len(names) <= most && !m.Matches("") {
			slices.Sort(names)
			return names, true
		}
	}
	return nil, false
}

// entries returns the stretches of the directory that may hold the metrics, which ascend.
func (s *selector) entries(names []string) []stretch {
	dir := s.m.Directory
	var out []stretch
	done := 0
	for _, name := range names {
		lo, hi := index.FindMetric(dir, name)
		lo = max(lo, done)
		if lo >= hi {
			continue
		}
		st := s.between(lo, hi)
		if lo == done && len(out) > 0 {
			last := &out[len(out)-1]
			last.series.Length += st.series.Length
			last.chunks.Length += st.chunks.Length
		} else {
			out = append(out, st)
		}
		done = hi
	}
	return out
}

// between returns the stretch of the directory entries [lo, hi).
func (s *selector) between(lo, hi int) stretch {
	from := s.m.Directory[lo]
	series, chunks := s.m.SeriesPages.End(), s.m.Chunks.End()
	if hi < len(s.m.Directory) {
		series, chunks = s.m.Directory[hi].SeriesOffset, s.m.Directory[hi].ChunkOffset
	}
	return stretch{
		series: blob.Range{Offset: from.SeriesOffset, Length: series - from.SeriesOffset},
		chunks: blob.Range{Offset: from.ChunkOffset, Length: chunks - from.ChunkOffset},
	}
}

// fetch is one stage.
func (s *selector) fetch(ctx context.Context, ranges []blob.Range) ([][]byte, error) {
	for _, r := range ranges {
		s.read += r.Length
	}
	if s.q.MaxBytes > 0 && s.read > s.q.MaxBytes {
		return nil, fmt.Errorf("select from block %s: %d bytes, the limit is %d: %w", s.key, s.read, s.q.MaxBytes, model.ErrLimit)
	}
	ctx = blob.AfterStage(ctx, s.stage)
	data, err := readRanges(ctx, s.r, s.key, ranges)
	s.stage = blob.LastStage(ctx)
	return data, err
}

// scan fetches the stretches, with runs and speculated chunks, and finds the series in them.
func (s *selector) scan(ctx context.Context, stretches []stretch) error {
	var ranges []blob.Range
	needRuns := s.m.Runs.Length > 0 && !(s.q.LabelsOnly && s.covers())
	if needRuns {
		ranges = append(ranges, blob.Range(s.m.Runs))
	}
	first := len(ranges)
	for _, st := range stretches {
		ranges = append(ranges, st.series)
	}
	if !s.q.LabelsOnly {
		for _, st := range stretches {
			if st.chunks.Length > 0 && s.q.Speculation.Take(st.chunks.Length) {
				ranges = append(ranges, st.chunks)
			}
		}
	}
	data, err := s.fetch(ctx, ranges)
	if err != nil {
		return err
	}
	if needRuns {
		if err := s.parseRuns(data[0]); err != nil {
			return err
		}
	}
	after := first + len(stretches)
	for i := after; i < len(data); i++ {
		s.speculated = append(s.speculated, fetched{ranges[i].Offset, data[i]})
	}
	for i, b := range data[first:after] {
		if err := s.scanPages(stretches[i].series.Offset, b); err != nil {
			return err
		}
	}
	return nil
}

// covers reports whether all samples of the block are in the query's range.
func (s *selector) covers() bool { return s.rng == s.m.Range() }

// scanPages scans the series pages in b, which begins at offset of the block.
func (s *selector) scanPages(offset int64, b []byte) error {
	buf := page.GetBuffer()
	defer page.PutBuffer(buf)
	for len(b) > 0 {
		raw, n, err := page.Decode(*buf, b, page.Series)
		found := len(s.sel.series)
		if err == nil {
			*buf = raw
			err = s.scanPage(raw)
		}
		if len(s.sel.series) > found {
			s.seriesHits += int64(n)
		}
		if err != nil {
			return corruptAt(s.key, offset, err)
		}
		offset, b = offset+int64(n), b[n:]
	}
	return nil
}

func (s *selector) scanPage(raw []byte) error {
	p, err := index.ParsePage(raw)
	if err != nil {
		return err
	}
	var g *native.Group
	var pages []*chunkPage
	return p.Scan(s.q.Matchers, func(i int, e *index.Entry) error {
		if g == nil {
			// Only now: most pages of a stretch may have no match.
			if g, err = native.Locate(p, native.Section(s.m.Chunks)); err != nil {
				return err
			}
			pages = make([]*chunkPage, len(g.Pages))
		}
		refs, err := s.inRange(g.Of(i))
		if err != nil || len(refs) == 0 {
			return err
		}
		if !s.q.LabelsOnly {
			for _, ref := range refs {
				if pages[ref.Page] == nil {
					pages[ref.Page] = s.sel.page(g.Pages[ref.Page])
				}
			}
		}
		s.sel.series = append(s.sel.series, &series{sel: s.sel, labels: e.Labels(), refs: refs, pages: pages, bare: s.q.LabelsOnly})
		return nil
	})
}

// fetchChunks fills the chunk pages that series need: from what was speculated, else by one more stage.
func (s *selector) fetchChunks(ctx context.Context) error {
	var missing []*chunkPage
	for _, p := range s.sel.inOrder {
		if p.stored = s.speculatedPage(p.ref); p.stored == nil {
			missing = append(missing, p)
		}
	}
	slices.SortFunc(missing, func(a, b *chunkPage) int { return int(a.ref.Offset - b.ref.Offset) })
	ranges := make([]blob.Range, len(missing))
	for i, p := range missing {
		ranges[i] = blob.Range(p.ref)
	}
	data, err := s.fetch(ctx, ranges)
	if err != nil {
		return err
	}
	for i, p := range missing {
		p.stored = data[i]
	}
	s.speculated = nil
	return nil
}

// count adds to the stats what the selection came from.
func (s *selector) count(stats *Stats) {
	needed := s.seriesHits + s.neededRuns()
	for _, p := range s.sel.inOrder {
		needed += p.ref.Length
	}
	stats.Series.Add(int64(len(s.sel.series)))
	stats.Needed.Add(needed)
}

func (s *selector) speculatedPage(ref native.PageRef) []byte {
	for _, f := range s.speculated {
		if at := ref.Offset - f.offset; at >= 0 && at+ref.Length <= int64(len(f.data)) {
			return f.data[at : at+ref.Length]
		}
	}
	return nil
}
