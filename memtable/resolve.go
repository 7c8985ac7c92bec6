package memtable

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// maxListed is the number of rejections that are described.
const maxListed = 10

// Resolved is a batch with its series found or made. The zero value is ready; one that is used again allocates
// nothing for known series. Not for concurrent use.
type Resolved struct {
	// Series has one entry per series of the batch, nil for a rejected one.
	Series []*Series
	// Rejected describes the first ten rejections, RejectedSamples counts the samples of all of them, histograms included.
	Rejected        []model.Rejection
	RejectedSamples int
	// Reasons are the rejected samples by reason; nil if there are none.
	Reasons map[model.Reason]int
	// Samples and Histograms count what is not rejected.
	Samples, Histograms int

	tenant  *tenantData
	hashes  []hash
	refs    []uint32
	tally   dayTally
	builder labels.ScratchBuilder
	buf     []byte
}

const (
	pageBytes = int64(unsafe.Sizeof(page{}))
	// aliasFloor and aliasesPerSeries bound the alias table of each tenant and decoder.
	aliasFloor       = 1 << 16
	aliasesPerSeries = 4
)

// Resolve finds or makes the series of the batch for Append, and writes them to res. Series with invalid labels, or new ones beyond
// the limit of the tenant, or with a sample outside the years 0001 to 9999, are rejected one by one. The
// error is that of the batch as a whole: model.ErrLimit if it would open too many days, model.ErrInvalid if
// it has too many by itself.
func (t *Table) Resolve(tenant string, b *model.Batch, res *Resolved) error {
	d := t.tenant(tenant, true)
	n := len(b.Series)
	res.reset(d, n, t.opts.MaxDays)
	for i := range b.Series {
		res.hashes[i] = t.hasher.sum(b.Series[i].Key)
	}
	known := d.aliasesOf(b.Labels.Name())
	known.lookup(res.hashes, res.refs)
	pages := *t.pages.Load()
	for i := range b.Series {
		bs := &b.Series[i]
		if !timesValid(b, bs) {
			res.reject(t, b, bs, model.ReasonTime, fmt.Errorf("sample outside the years 0001 to 9999: %w", model.ErrInvalid))
			continue
		}
		if ref := res.refs[i]; ref != 0 {
			if p := (ref - 1) / pageSeries; int(p) < len(pages) {
				res.accept(&pages[p].series[(ref-1)%pageSeries], i, b)
				continue
			}
		}
		s, err := t.resolveNew(d, known, b, res.hashes[i], bs.Key, res)
		if err != nil {
			reason := model.ReasonLabels
			switch {
			case errors.Is(err, errTooManySeries):
				reason = model.ReasonSeries
			case errors.Is(err, model.ErrLimit):
				reason = model.ReasonLimit
			}
			res.reject(t, b, bs, reason, err)
			continue
		}
		res.accept(s, i, b)
	}
	return d.openDays(&res.tally, t.opts.MaxDays)
}

func (r *Resolved) reset(d *tenantData, n, maxDays int) {
	r.tenant = d
	r.Series = slices.Grow(r.Series[:0], n)[:n]
	clear(r.Series)
	r.hashes = slices.Grow(r.hashes[:0], n)[:n]
	r.refs = slices.Grow(r.refs[:0], n)[:n]
	r.Rejected, r.RejectedSamples, r.Reasons, r.Samples, r.Histograms = nil, 0, nil, 0, 0
	r.tally.reset(maxDays)
}

// timesValid reports whether Varve keeps samples of all the times of a series.
func timesValid(b *model.Batch, bs *model.BatchSeries) bool {
	for _, s := range b.Samples[bs.First : bs.First+bs.Count] {
		if !checkTime(s.T) {
			return false
		}
	}
	for _, h := range b.Histograms[bs.FirstHistogram : bs.FirstHistogram+bs.HistogramCount] {
		if !checkTime(h.T) {
			return false
		}
	}
	return true
}

// accept enters the i-th series of the batch and the days of its samples.
func (r *Resolved) accept(s *Series, i int, b *model.Batch) {
	r.Series[i] = s
	bs := &b.Series[i]
	for _, x := range b.Samples[bs.First : bs.First+bs.Count] {
		r.tally.add(x.T)
	}
	for _, h := range b.Histograms[bs.FirstHistogram : bs.FirstHistogram+bs.HistogramCount] {
		r.tally.add(h.T)
	}
	r.Samples += int(bs.Count)
	r.Histograms += int(bs.HistogramCount)
}

func (r *Resolved) reject(t *Table, b *model.Batch, bs *model.BatchSeries, reason model.Reason, err error) {
	n := int(bs.Count + bs.HistogramCount)
	r.RejectedSamples += n
	if r.Reasons == nil {
		r.Reasons = map[model.Reason]int{}
	}
	r.Reasons[reason] += n
	if len(r.Rejected) >= maxListed {
		return
	}
	text := fmt.Sprintf("series with a name of %d bytes", len(bs.Key))
	r.builder.Reset()
	if b.Labels.Decode(bs.Key, &r.builder) == nil {
		r.builder.Sort()
		text = r.builder.Labels().String()
	}
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	r.Rejected = append(r.Rejected, model.Rejection{Series: text, Err: err})
}

// resolveNew finds or makes the series of a key that is no known alias.
func (t *Table) resolveNew(d *tenantData, known *aliases, b *model.Batch, h hash, key []byte, res *Resolved) (*Series, error) {
	res.builder.Reset()
	if err := b.Labels.Decode(key, &res.builder); err != nil {
		return nil, fmt.Errorf("decode labels: %w", err)
	}
	res.builder.Sort()
	ls, err := t.opts.clean(res.builder.Labels())
	if err != nil {
		return nil, err
	}
	s, err := t.findOrCreate(d, ls, res, t.opts.MaxSeries)
	if err != nil {
		return nil, err
	}
	limit := aliasFloor + aliasesPerSeries*d.index.len()
	t.otherBytes.Add(int64(known.insert(h, s.ref+1, limit)))
	return s, nil
}

// errTooManySeries is the one rejection that passes by itself.
var errTooManySeries = fmt.Errorf("as many as allowed: %w", model.ErrLimit)

// findOrCreate returns the series of the labels; a new one only below limit, unless that is 0.
func (t *Table) findOrCreate(d *tenantData, ls labels.Labels, res *Resolved, limit int) (*Series, error) {
	res.buf = ls.Bytes(res.buf[:0])
	h := t.hasher.sum(res.buf).a
	d.createMu.Lock()
	defer d.createMu.Unlock()
	for ref := range d.canonical.find(h) {
		if s := t.at(ref); labels.Equal(s.labels, ls) {
			return s, nil
		}
	}
	if limit > 0 && d.index.len() >= limit {
		return nil, fmt.Errorf("tenant has %d series since the last flush, %w", limit, errTooManySeries)
	}
	s := t.newSeries()
	s.labels = ls
	grown := d.canonical.insert(h, s.ref)
	t.otherBytes.Add(int64(grown + len(res.buf) + d.index.add(s)))
	return s, nil
}
