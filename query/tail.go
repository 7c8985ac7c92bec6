package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// tailWindow is how many segment keys are asked for at first; later windows double.
const tailWindow = 16

// tail is a model.Source over the shipped log of a writer that cannot be asked itself: all segments
// from the first generation that is not released to the first key that is missing, or to a fence. Without bounds it is
// everything that a writer in mode object has acknowledged.
//
// The log is read once, at the first Select, and kept: one tail serves one tenant and one querier.
type tail struct {
	logs   Logs
	writer string
	from   uint64
	// Bounds; 0 is none.
	maxSegments int
	maxBytes    int64

	done    shared[struct{}]
	series  []*tailSeries
	reached int64 // time of the newest sample read
	empty   bool
	cut     bool // a bound ended the reading
	// damage is what is wrong with the first segment that is not sound; the log counts up to there.
	damage error
}

func newTail(logs Logs, writer string, from uint64) *tail {
	return &tail{logs: logs, writer: writer, from: from, empty: true}
}

// Writer implements model.Source.
func (t *tail) Writer() string { return t.writer }

// Select implements model.Source.
func (t *tail) Select(ctx context.Context, tenant string, r model.TimeRange, matchers []*labels.Matcher) (*model.Selection, error) {
	_, err := t.done.get(ctx, func() (struct{}, error) { return struct{}{}, t.read(ctx, tenant) })
	if err != nil {
		return nil, fmt.Errorf("read log of writer %s: %w", t.writer, err)
	}
	s := &model.Selection{}
	for _, ts := range t.series {
		if ts.within(r) && matches(ts.labels, matchers) {
			s.Series = append(s.Series, ts)
		}
	}
	return s, nil
}

// warning says in a sentence how far the answer can be trusted. To be called after Select.
func (t *tail) warning(shipping bool) string {
	switch {
	case t.damage != nil && t.empty:
		return fmt.Sprintf("writer %s was not asked; its shipped log is damaged (%s) and holds nothing before that which is newer than its blocks", t.writer, oneLine(t.damage))
	case t.damage != nil:
		return fmt.Sprintf("writer %s was not asked; its shipped log is damaged (%s) and reaches %s before that", t.writer, oneLine(t.damage), utc(t.reached))
	case !shipping:
		return fmt.Sprintf("writer %s was not asked and does not ship its log; its samples since its last flush are missing", t.writer)
	case t.empty:
		return fmt.Sprintf("writer %s was not asked; its shipped log holds nothing that is newer than its blocks", t.writer)
	case t.cut:
		return fmt.Sprintf("writer %s was not asked; its shipped log was read up to the limit and reaches %s there", t.writer, utc(t.reached))
	}
	return fmt.Sprintf("writer %s was not asked; its shipped log reaches %s", t.writer, utc(t.reached))
}

func utc(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func matches(ls labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// read fetches windows of segments, oldest first, and collects the tenant's samples.
func (t *tail) read(ctx context.Context, tenant string) error {
	ctx = blob.AfterStage(ctx, 0)
	c := &tailCollector{byLabels: make(map[string]*tailSeries)}
	gen, seq, window := t.from, uint64(0), tailWindow
	for read, bytes := 0, int64(0); ; {
		if t.maxSegments > 0 {
			window = min(window, t.maxSegments-read)
		}
		if window <= 0 || t.maxBytes > 0 && bytes >= t.maxBytes {
			t.cut = true
			return t.finish(c)
		}
		ctx = blob.AfterStage(ctx, blob.LastStage(ctx))
		w, err := t.fetch(ctx, gen, seq, window)
		if err != nil {
			return err
		}
		bytes += w.bytes
		ended := false // the generation, by an end mark
		for _, s := range w.segments {
			if s.Fence {
				return t.finish(c)
			}
			if t.damage = s.Records(tenant, c.add); t.damage != nil {
				return t.finish(c)
			}
			read++
			if ended = s.EndMark; ended {
				break
			}
		}
		switch {
		case ended:
			// What follows is the next generation, with references of its own.
			gen, seq, window, c.refs = gen+1, 0, tailWindow, nil
		case len(w.segments) < window:
			t.damage = w.damage
			return t.finish(c)
		default:
			seq, window = seq+uint64(window), 2*window
		}
	}
}

// tailPart is what one window of keys holds: the segments before the first that is missing or damaged, and in the second case
// what is wrong with it.
type tailPart struct {
	segments []*wal.Segment
	bytes    int64
	damage   error
}

// fetch reads up to n segments in parallel.
func (t *tail) fetch(ctx context.Context, gen, seq uint64, n int) (*tailPart, error) {
	data := make([][]byte, n)
	missing := make([]error, n)
	g, gctx := errgroup.WithContext(ctx)
	for i := range n {
		g.Go(func() error {
			d, _, err := t.logs.Get(gctx, wal.SegmentKey(t.writer, gen, seq+uint64(i)))
			if errors.Is(err, model.ErrNotFound) {
				missing[i] = err
				return nil
			}
			data[i] = d
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, err := range missing {
		if err != nil {
			if err := t.trustMissing(ctx, err); err != nil {
				return nil, err
			}
			n = i
			break
		}
	}
	// Last to first: each segment says how much of its predecessor counts.
	p, valid := &tailPart{segments: make([]*wal.Segment, n)}, int64(0)
	for i := n - 1; i >= 0; i-- {
		s, err := wal.ParseSegment(data[i], &wal.ParseOptions{Name: wal.SegmentKey(t.writer, gen, seq+uint64(i)), Valid: valid})
		p.bytes += int64(len(data[i]))
		if err != nil {
			// Nobody says then how much of the one before it counts: all of it, as for the last one.
			p.damage, n, valid = err, i, 0
			continue
		}
		p.segments[i], valid = s, s.PrevValid
	}
	p.segments = p.segments[:n]
	return p, nil
}

// trustMissing makes sure that a missing key means that there is no object: stores answer 403 to readers that may not
// list, and 403 is also what no permission at all looks like. The writer's identity object always exists.
func (t *tail) trustMissing(ctx context.Context, missing error) error {
	if !blob.IsDenied(missing) {
		return nil
	}
	ctx = blob.AfterStage(ctx, blob.LastStage(ctx))
	if _, _, err := t.logs.Get(ctx, "w/"+t.writer+"/id"); err != nil {
		return fmt.Errorf("%w: %w", model.ErrUnavailable, err)
	}
	return nil
}

// finish sorts what was collected.
func (t *tail) finish(c *tailCollector) error {
	for _, s := range c.byLabels {
		s.settle()
		if n := s.columns.Len(); n > 0 {
			t.series = append(t.series, s)
			if last := s.columns.T[n-1]; t.empty || last > t.reached {
				t.reached, t.empty = last, false
			}
		}
	}
	slices.SortFunc(t.series, func(a, b *tailSeries) int { return labels.Compare(a.labels, b.labels) })
	return nil
}

// tailCollector gathers the records of one tenant.
type tailCollector struct {
	byLabels map[string]*tailSeries
	refs     map[uint32]*tailSeries
	buf      []byte
}

func (c *tailCollector) add(r wal.Record) error {
	if c.refs == nil {
		c.refs = make(map[uint32]*tailSeries)
	}
	for _, d := range r.Defs {
		c.buf = d.Labels.Bytes(c.buf)
		s := c.byLabels[string(c.buf)]
		if s == nil {
			s = &tailSeries{labels: d.Labels.Copy()}
			c.byLabels[string(c.buf)] = s
		}
		c.refs[d.Ref] = s
	}
	for _, v := range r.Samples {
		s := c.refs[v.Ref]
		if s == nil {
			return fmt.Errorf("sample of undefined series %d: %w", v.Ref, model.ErrCorrupt)
		}
		s.columns.Append(v.T, v.V)
	}
	for _, h := range r.Histograms {
		s := c.refs[h.Ref]
		if s == nil {
			return fmt.Errorf("histogram of undefined series %d: %w", h.Ref, model.ErrCorrupt)
		}
		s.columns.AppendHistogram(h.T, slices.Clone(h.H))
	}
	return nil
}

// tailSeries implements model.Series.
type tailSeries struct {
	labels  labels.Labels
	columns model.Columns
}

// settle orders the samples by time; of equal times the one logged last stays.
func (s *tailSeries) settle() {
	c := &s.columns
	if slices.IsSorted(c.T) && !hasEqualNeighbours(c.T) {
		return
	}
	order := make([]int, len(c.T))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case c.T[a] < c.T[b]:
			return -1
		case c.T[a] > c.T[b]:
			return 1
		}
		return 0
	})
	var out model.Columns
	for n, i := range order {
		if n+1 < len(order) && c.T[order[n+1]] == c.T[i] {
			continue
		}
		appendFrom(&out, c, i)
	}
	s.columns = out
}

func hasEqualNeighbours(t []int64) bool {
	for i := 1; i < len(t); i++ {
		if t[i] == t[i-1] {
			return true
		}
	}
	return false
}

func (s *tailSeries) within(r model.TimeRange) bool {
	from, to := span(s.columns.T, r)
	return from < to
}

// Labels implements model.Series.
func (s *tailSeries) Labels() labels.Labels { return s.labels }

// Samples implements model.Series.
func (s *tailSeries) Samples(dst *model.Columns, r model.TimeRange) error {
	from, to := span(s.columns.T, r)
	for i := from; i < to; i++ {
		appendFrom(dst, &s.columns, i)
	}
	return nil
}

// span returns the indices [from, to) of the times within the range.
func span(t []int64, r model.TimeRange) (from, to int) {
	from, _ = slices.BinarySearch(t, r.MinMs)
	to, found := slices.BinarySearch(t, r.MaxMs)
	if found {
		to++
	}
	return from, max(from, to)
}

// appendFrom adds sample i of src to dst.
func appendFrom(dst, src *model.Columns, i int) {
	if src.H != nil && src.H[i] != nil {
		dst.AppendHistogram(src.T[i], src.H[i])
	} else {
		dst.Append(src.T[i], src.V[i])
	}
}
