package blocks

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks/parquet"
	"github.com/varvedb/varve/model"
)

// openRowBytes is how much memory of decoded stripes a selection keeps; more only while they are in use. A series has a stripe
// or two in each of the six windows of a day, and neighbours share them.
const openRowBytes = 6 << 20

// rowSelection is what the series of a selection of a parquet block share. Safe for concurrent use once Select has returned.
type rowSelection struct {
	key       string
	rng       model.TimeRange
	aggregate model.Aggregate // of rollups
	series    []*rowSeries
	stripes   map[int64]*rowStripe
	held      *held
	inOrder   []*rowStripe

	mu sync.Mutex
	// Guarded by mu: users and used of every stripe, and these.
	open  []*rowStripe // decoded, the one used last behind
	bytes int          // of them
}

// rowStripe is a fetched stripe, decoded while somebody uses it and a while longer.
type rowStripe struct {
	stripe *parquet.Stripe
	stored [][]byte
	users  int

	decoding sync.Mutex // held while decoding
	rows     *parquet.Rows
}

// rowPart are the rows [from, to) of a stripe.
type rowPart struct {
	stripe   *rowStripe
	from, to int
}

// appendParts cuts the rows [from, to), counted from the first of the stripes, at their borders.
func (s *rowSelection) appendParts(parts []rowPart, stripes []parquet.Stripe, from, to int) []rowPart {
	at := 0
	for i := range stripes {
		st := &stripes[i]
		if lo, hi := max(from-at, 0), min(to-at, st.Rows); lo < hi {
			parts = append(parts, rowPart{s.stripe(st), lo, hi})
		}
		if at += st.Rows; at >= to {
			break
		}
	}
	return parts
}

// stripe returns the stripe, the same for all series.
func (s *rowSelection) stripe(st *parquet.Stripe) *rowStripe {
	x, ok := s.stripes[st.Key()]
	if !ok {
		x = &rowStripe{stripe: st}
		s.stripes[st.Key()] = x
		s.inOrder = append(s.inOrder, x)
	}
	return x
}

// needed is the length of the pages of all stripes.
func (s *rowSelection) needed() (bytes int64) {
	for _, st := range s.inOrder {
		for _, ref := range st.stripe.Needed(s.aggregate) {
			bytes += ref.Length
		}
	}
	return bytes
}

// result makes the model's selection.
func (s *rowSelection) result() *model.Selection {
	byLabels := func(a, b *rowSeries) int { return labels.Compare(a.labels, b.labels) }
	if !slices.IsSortedFunc(s.series, byLabels) {
		slices.SortFunc(s.series, byLabels)
	}
	out := &model.Selection{Series: make([]model.Series, len(s.series)), Release: s.close}
	for i, x := range s.series {
		out.Series[i] = x
	}
	return out
}

// acquire returns the decoded stripe, which stays so until release.
func (s *rowSelection) acquire(st *rowStripe) (*parquet.Rows, error) {
	s.mu.Lock()
	st.users++
	if st.rows != nil {
		s.touch(st)
		defer s.mu.Unlock()
		return st.rows, nil
	}
	s.mu.Unlock()
	st.decoding.Lock()
	defer st.decoding.Unlock()
	s.mu.Lock()
	if rows := st.rows; rows != nil {
		s.mu.Unlock()
		return rows, nil
	}
	s.mu.Unlock()
	fresh := parquet.GetRows()
	bad, err := st.stripe.Decode(fresh, s.aggregate, st.stored)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		st.users--
		return nil, corruptAt(s.key, st.stripe.Needed(s.aggregate)[bad].Offset, err)
	}
	if err := s.takeOpen(int64(fresh.Size())); err != nil {
		st.users--
		parquet.PutRows(fresh)
		return nil, err
	}
	st.rows = fresh
	s.open = append(s.open, st)
	s.bytes += fresh.Size()
	s.evict(openRowBytes)
	return fresh, nil
}

// takeOpen takes the memory of a stripe that is decoded. Where there is none left, stripes that nobody uses give way. The caller holds mu.
func (s *rowSelection) takeOpen(n int64) error {
	if s.held.take(n) == nil {
		return nil
	}
	s.evict(0)
	return s.held.take(n)
}

// touch moves an open stripe behind those used before it.
func (s *rowSelection) touch(st *rowStripe) {
	if n := len(s.open); s.open[n-1] != st {
		i := slices.Index(s.open, st)
		s.open = append(slices.Delete(s.open, i, i+1), st)
	}
}

func (s *rowSelection) release(st *rowStripe) {
	s.mu.Lock()
	st.users--
	s.mu.Unlock()
}

// evict gives up the stripes not used for longest until at most keep bytes are open. The caller holds mu. Who comes later takes mu
// first to count as a user, so nobody sees rows that are decoded over.
func (s *rowSelection) evict(keep int) {
	for i := 0; s.bytes > keep && i < len(s.open); {
		st := s.open[i]
		if st.users > 0 {
			i++
			continue
		}
		s.bytes -= st.rows.Size()
		s.held.give(int64(st.rows.Size()))
		parquet.PutRows(st.rows)
		st.rows = nil
		s.open = slices.Delete(s.open, i, i+1)
	}
}

func (s *rowSelection) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evict(0)
	s.held.close()
}

// rowSeries is one series of a selection of a parquet block. It implements model.Series.
type rowSeries struct {
	sel    *rowSelection
	labels labels.Labels
	parts  []rowPart // ascending in time
	bare   bool      // labels only
}

func (s *rowSeries) Labels() labels.Labels { return s.labels }

// Samples implements model.Series.
func (s *rowSeries) Samples(dst *model.Columns, r model.TimeRange) error {
	if s.bare {
		return fmt.Errorf("block %s: samples of a selection of labels: %w", s.sel.key, model.ErrInvalid)
	}
	return s.samples(dst, r.Intersect(s.sel.rng))
}

// Before implements model.Preceded: it knows the stripes that were read.
func (s *rowSeries) Before(dst *model.Columns, t int64) error {
	if s.bare {
		return nil
	}
	var c model.Columns
	if err := s.samples(&c, model.TimeRange{MinMs: math.MinInt64, MaxMs: t - 1}); err != nil {
		return err
	}
	appendLast(dst, &c)
	return nil
}

// samples appends what the stripes that were read have in the range.
func (s *rowSeries) samples(dst *model.Columns, r model.TimeRange) error {
	if r.Empty() {
		return nil
	}
	start := len(dst.T)
	for _, p := range s.parts {
		if err := s.part(dst, start, r, p); err != nil {
			return err
		}
	}
	return nil
}

// part appends the samples of one part; those of the parts before begin at start.
func (s *rowSeries) part(dst *model.Columns, start int, r model.TimeRange, p rowPart) error {
	rows, err := s.sel.acquire(p.stripe)
	if err != nil {
		return err
	}
	defer s.sel.release(p.stripe)
	t := rows.T[p.from:p.to]
	if err := checkAscending(t, dst.T[start:]); err != nil {
		return corruptAt(s.sel.key, p.stripe.stripe.Key(), err)
	}
	if lo, hi := within(t, r); lo < hi {
		rows.Append(dst, p.from+lo, p.from+hi)
	}
	return nil
}
