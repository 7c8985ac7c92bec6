package query

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

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
	// used is told of the bytes of segments that were read for good, before they are parsed, and may end the reading; nil for nobody.
	used func(bytes int64) error

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
