package memtable

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// snapshot is what a series held at one moment. It implements model.Series.
type snapshot struct {
	table      *Table
	labels     labels.Labels
	samples    []sideSample
	histograms [][]byte
	minT, maxT int64
	run        // the series' own blocks
	runs       []run
	ref, rank  uint32
}

// Labels returns the labels of the series.
func (s *snapshot) Labels() labels.Labels { return s.labels }

// snap takes a snapshot under the page's lock; false if the series holds nothing.
func (s *series) snap(t *Table, ref uint32, ls labels.Labels) (snapshot, bool) {
	minT, maxT, ok := s.bounds()
	sn := snapshot{table: t, labels: ls, ref: ref, minT: minT, maxT: maxT, run: run{s.block, s.used, s.count}}
	if s.side != nil {
		sn.runs, sn.samples, sn.histograms = s.side.runs, s.side.samples, s.side.histograms
	}
	return sn, ok
}

// Samples appends the samples within the range to dst.
func (s *snapshot) Samples(dst *model.Columns, r model.TimeRange) error {
	s.read(dst, r)
	return nil
}

// read is Samples.
func (s *snapshot) read(dst *model.Columns, r model.TimeRange) {
	if len(s.samples)+len(s.runs) == 0 {
		had := len(dst.T)
		s.readBlocks(dst, s.run, r)
		if dst.H != nil {
			dst.H = append(dst.H, make([][]byte, len(dst.T)-had)...)
		}
		return
	}
	var ordered model.Columns
	s.readBlocks(&ordered, s.run, r)
	ordered = overlay(ordered, s.readRuns(s.runs, r))
	merge(dst, &ordered, sortedSide(s.samples, r), s.samples, s.histograms)
}

// Before implements model.Preceded. It looks for a histogram: what it is asked for is what came before one.
func (s *snapshot) Before(dst *model.Columns, t int64) error {
	last := int64(math.MinInt64)
	for i, h := range s.histograms {
		if at := s.samples[i].t; h != nil && at < t && at > last {
			last = at
		}
	}
	if last == math.MinInt64 {
		return nil
	}
	var c model.Columns
	s.read(&c, model.TimeRange{MinMs: last, MaxMs: t - 1})
	dst.AppendAt(&c, c.Len()-1)
	return nil
}

// readBlocks appends what is in a chain of blocks. dst.H is left alone.
func (s *snapshot) readBlocks(dst *model.Columns, c run, r model.TimeRange) {
	if c.block == 0 {
		return
	}
	var onStack [64]uint32
	chain := onStack[:0]
	for name, end := c.block, r.MaxMs; name != 0; {
		b := s.table.arena.block(name)
		first := blockFirst(b)
		if first <= end {
			chain = append(chain, name)
		}
		if first <= r.MinMs {
			break // all before it is earlier still
		}
		name = blockPrev(b)
	}
	for _, name := range slices.Backward(chain) {
		b := s.table.arena.block(name)
		used, count := c.used, c.count
		if name != c.block {
			used, count = blockUsed(b), blockCount(b)
		}
		decodeBlock(b[:used], int(count), r, dst)
	}
}

// sortedSide returns the indexes of the side samples within the range by time, equal ones in order of arrival.
func sortedSide(samples []sideSample, r model.TimeRange) []int32 {
	var order []int32
	for i := range samples {
		if r.Contains(samples[i].t) {
			order = append(order, int32(i))
		}
	}
	byTime := func(a, b int32) int {
		return cmp.Or(cmp.Compare(samples[a].t, samples[b].t), cmp.Compare(a, b))
	}
	if !slices.IsSortedFunc(order, byTime) {
		slices.SortFunc(order, byTime)
	}
	return order
}

// merge appends both to dst, the side samples winning, the last of each time.
func merge(dst, ordered *model.Columns, order []int32, samples []sideSample, histograms [][]byte) {
	at := 0
	for i, k := range order {
		x := samples[k]
		if i+1 < len(order) && samples[order[i+1]].t == x.t {
			continue
		}
		for at < len(ordered.T) && ordered.T[at] < x.t {
			dst.Append(ordered.T[at], ordered.V[at])
			at++
		}
		if at < len(ordered.T) && ordered.T[at] == x.t {
			at++
		}
		if histograms != nil && histograms[k] != nil {
			dst.AppendHistogram(x.t, histograms[k])
		} else {
			dst.Append(x.t, x.v)
		}
	}
	for ; at < len(ordered.T); at++ {
		dst.Append(ordered.T[at], ordered.V[at])
	}
}

// hasIn reports whether a sample lies within the range.
func (s *snapshot) hasIn(r model.TimeRange) bool {
	if r.Empty() || s.maxT < r.MinMs || r.MaxMs < s.minT {
		return false
	}
	if r.Contains(s.minT) || r.Contains(s.maxT) || s.beginsIn(r) {
		return true
	}
	var c model.Columns
	s.read(&c, r)
	return c.Len() > 0
}

// beginsIn reports whether a block of the series' own has its first sample within the range, which a look at headers tells. Nearly every
// range longer than a block and amid the series is known by that to have samples.
func (s *snapshot) beginsIn(r model.TimeRange) bool {
	for name := s.block; name != 0; {
		b := s.table.arena.block(name)
		first := blockFirst(b)
		if r.Contains(first) {
			return true
		}
		if first < r.MinMs {
			return false
		}
		name = blockPrev(b)
	}
	return false
}

// Select returns the tenant's series that match all matchers and have samples within the range, sorted by labels.Compare. Everything
// appended before the call is in it.
func (t *Table) Select(ctx context.Context, tenant string, r model.TimeRange, matchers []*labels.Matcher) (*model.Selection, error) {
	sel := &model.Selection{}
	d := t.tenant(tenant, false)
	if d == nil || r.Empty() {
		return sel, nil
	}
	a := &account{memory: model.MemoryOf(ctx)}
	defer a.close() // whoever asked accounts for what is returned
	found, err := t.snapshots(ctx, d, matchers, a)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(s snapshot) bool { return !s.hasIn(r) })
	d.sortFound(t, found)
	sel.Series = make([]model.Series, len(found))
	for i := range found {
		sel.Series[i] = &found[i]
	}
	return sel, nil
}

// snapshots returns the matching series that hold samples, in order of their refs.
func (t *Table) snapshots(ctx context.Context, d *tenantData, matchers []*labels.Matcher, a *account) ([]snapshot, error) {
	refs := d.names.index.candidates(matchers)
	pages := *t.pages.Load()
	var found []snapshot
	var locked *page
	unlock := func() {
		if locked != nil {
			locked.mu.Unlock()
			locked = nil
		}
	}
	defer unlock()
	for _, ref := range refs {
		p := pageOf(pages, ref)
		if !p.has(ref) {
			continue
		}
		ls := t.names.labels(ref)
		if !matchesAll(ls, matchers) {
			continue
		}
		if p != locked {
			unlock()
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := a.hold(len(found)); err != nil {
				return nil, err
			}
			p.mu.Lock()
			locked = p
		}
		if sn, ok := p.series[ref%pageSeries].snap(t, ref, ls); ok {
			found = append(found, sn)
		}
	}
	return found, nil
}

// account takes memory for snapshots while they are gathered: many queries at a time may want all series of a tenant.
type account struct {
	memory model.Memory
	taken  int
}

// snapshotBytes is about what a snapshot takes.
const snapshotBytes = 256

// hold takes the memory of n snapshots in all.
func (a *account) hold(n int) error {
	if err := a.memory.Take(int64(n-a.taken) * snapshotBytes); err != nil {
		return err
	}
	a.taken = n
	return nil
}

func (a *account) close() { a.memory.Give(int64(a.taken) * snapshotBytes) }

func matchesAll(ls labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}
