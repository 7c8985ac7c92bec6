package blocks

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/index"
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
	sel, err := selectAll(ctx, r, m, q)
	if err != nil || len(q.Masks) == 0 {
		return sel, err
	}
	if err := q.applyMasks(ctx, r, m, sel); err != nil {
		sel.Close()
		return nil, err
	}
	return sel, nil
}

// applyMasks takes what the query's masks hide out of what was selected.
func (q *Query) applyMasks(ctx context.Context, r RangeReader, m *Meta, sel *model.Selection) error {
	masks, rng := q.Masks.of(m), q.Range.Intersect(m.Range())
	switch {
	case len(masks) == 0:
		return nil
	case q.LabelsOnly:
		return q.maskLabels(ctx, r, m, sel, masks, rng)
	}
	return q.mask(sel, masks, rng)
}

// selectAll is Select without masks.
func selectAll(ctx context.Context, r RangeReader, m *Meta, q *Query) (*model.Selection, error) {
	if m.Format != Native && !m.Format.IsParquet() {
		return nil, fmt.Errorf("select from block %s: format %d: %w", m.ID, m.Format, model.ErrVersion)
	}
	rng := q.Range.Intersect(m.Range())
	if rng.Empty() {
		return &model.Selection{}, nil
	}
	if m.Format.IsParquet() {
		return selectRows(ctx, r, m, q, rng)
	}
	h := &held{memory: model.MemoryOf(ctx)}
	s := &selector{r: r, m: m, q: q, key: Key(m), rng: rng, warm: warmOf(r, m), held: h}
	s.sel = &selection{key: s.key, rng: rng, pages: map[int64]*chunkPage{}, warm: s.warm, held: h}
	if s.warm != nil {
		s.r = s.warm
	}
	stretches, err := s.plan(ctx)
	if err == nil && len(stretches) > 0 {
		if err = s.scan(ctx, stretches); err == nil {
			err = s.fetchChunks(ctx)
		}
	}
	if err != nil {
		h.close()
		s.warm.distrust(err)
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
	warm  *warm // nil without caches
	sel   *selection
	held  *held // by sel
	stage int   // of the last reads, for a trace of them
	state []runState
	// for Stats: the bytes of the series pages with a match
	seriesHits int64
	// speculated chunk bytes, ascending by offset
	speculated []fetched
}

type fetched struct {
	offset int64
	data   []byte
}

// stretch is a run of whole series pages, and what lies between the first and the last chunk page that is asked for with them.
type stretch struct {
	series, chunks blob.Range
}

// appendStretch appends a stretch that begins nowhere before the last one does, or makes that one longer if they touch or share a series page.
func appendStretch(to []stretch, st stretch) []stretch {
	if len(to) == 0 || st.series.Offset > to[len(to)-1].series.Offset+to[len(to)-1].series.Length {
		return append(to, st)
	}
	last := &to[len(to)-1]
	last.series.Length = max(last.series.Length, st.series.Offset+st.series.Length-last.series.Offset)
	last.chunks.Length = st.chunks.Offset + st.chunks.Length - last.chunks.Offset
	return to
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
		if lo = max(lo, done); lo >= hi {
			continue
		}
		st := s.between(lo, hi)
		if s.m.skipEntry(name, lo, hi) {
			end := st.chunks.Offset + st.chunks.Length
			st.chunks.Offset = dir[lo+1].ChunkOffset
			st.chunks.Length = end - st.chunks.Offset
		}
		out = appendStretch(out, st)
		done = hi
	}
	return out
}

// between returns the stretch of the directory entries [lo, hi).
func (s *selector) between(lo, hi int) stretch {
	from := s.m.Directory[lo]
	series := index.SeriesEnd(s.m.Directory, hi-1, s.m.SeriesPages.End())
	chunks := s.m.Chunks.End()
	if hi < len(s.m.Directory) {
		chunks = s.m.Directory[hi].ChunkOffset
	}
	return stretch{
		series: blob.Range{Offset: from.SeriesOffset, Length: series - from.SeriesOffset},
		chunks: blob.Range{Offset: from.ChunkOffset, Length: chunks - from.ChunkOffset},
	}
}

// fetch is one stage.
func (s *selector) fetch(ctx context.Context, ranges []blob.Range) ([][]byte, error) {
	ctx = blob.AfterStage(ctx, s.stage)
	data, err := readRanges(ctx, s.r, s.key, ranges)
	s.stage = blob.LastStage(ctx)
	return data, err
}

// scan finds the series in the stretches, of which it fetches those that were not scanned for the same matchers before, with runs and
// speculated chunks.
func (s *selector) scan(ctx context.Context, stretches []stretch) error {
	needRuns := s.m.Runs.Length > 0 && !(s.q.LabelsOnly && s.covers())
	if needRuns {
		s.useRuns(s.warm.runs(ctx, s.m.Runs))
	}
	scans := s.scans(ctx, stretches)
	var ranges []blob.Range
	fetchRuns := needRuns && s.sel.runs == nil
	if fetchRuns {
		ranges = append(ranges, blob.Range(s.m.Runs))
	}
	first := len(ranges)
	for _, c := range scans {
		if c.matches == nil {
			ranges = append(ranges, c.series)
		}
	}
	after := len(ranges)
	ranges = s.speculate(ranges, scans)
	pages, err := s.takeFetch(ranges, after)
	if err != nil {
		return err
	}
	data, err := s.fetch(ctx, ranges)
	if err != nil {
		return err
	}
	if fetchRuns {
		if err := s.parseRuns(data[0]); err != nil {
			return err
		}
	}
	for i := after; i < len(data); i++ {
		s.speculated = append(s.speculated, fetched{ranges[i].Offset, data[i]})
	}
	fresh := data[first:after]
	for _, c := range scans {
		if c.matches == nil {
			if err := s.scanStretch(ctx, c, fresh[0]); err != nil {
				return err
			}
			fresh = fresh[1:]
		}
		if err := s.take(c.matches); err != nil {
			return err
		}
	}
	s.held.give(pages) // what they came to is in the series
	return s.takeSeries()
}

// covers reports whether all samples of the block are in the query's range.
func (s *selector) covers() bool { return s.rng == s.m.Range() }

// speculate appends the chunks of the stretches of which it is not known yet what matches, as far as the budget goes.
func (s *selector) speculate(ranges []blob.Range, scans []*stretchScan) []blob.Range {
	if s.q.LabelsOnly {
		return ranges
	}
	for _, c := range scans {
		// What is at hand needs no guess: it is read when it is known what is needed, without a request.
		if c.matches == nil && c.chunks.Length > 0 && !s.warm.has(c.chunks) && s.q.Speculation.Take(c.chunks.Length) {
			ranges = append(ranges, c.chunks)
		}
	}
	return ranges
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
	if _, err := s.takeFetch(ranges, 0); err != nil {
		return err
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
	return s.speculatedRange(ref.Offset, ref.Length)
}

// speculatedRange returns the bytes of the range if they were speculated, else nil.
func (s *selector) speculatedRange(offset, length int64) []byte {
	for _, f := range s.speculated {
		if at := offset - f.offset; at >= 0 && at+length <= int64(len(f.data)) {
			return f.data[at : at+length]
		}
	}
	return nil
}
