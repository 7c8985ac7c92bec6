package memtable

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// maxListed is the number of rejections that are described.
const maxListed = 10

// Resolved is a batch with its series found or made. The zero value is ready; one that is used again allocates
// nothing for known series. Not for concurrent use.
type Resolved struct {
	// Refs has one entry per series of the batch: its number, unique over all tenants and about dense from 0, or NoSeries for a rejected one.
	Refs []uint32
	// Rejected describes the first ten rejections, RejectedSamples counts the samples of all of them, histograms included.
	Rejected        []model.Rejection
	RejectedSamples int
	// Reasons are the rejected samples by reason; nil if there are none.
	Reasons map[model.Reason]int
	// Samples and Histograms count what is not rejected.
	Samples, Histograms int

	rows    int // of reserved series
	tenant  *tenantData
	unknown []unknown
	tally   dayTally
	builder labels.ScratchBuilder
}

// NoSeries is in the place of a ref where there is none.
const NoSeries = math.MaxUint32

const (
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
	res.reset(d, len(b.Series), t.opts.MaxDays)
	known := d.names.aliasesOf(b.Labels.Name())
	res.unknown = known.lookup(t.names.hasher, b.Series, res.Refs, res.unknown)
	pages := *t.pages.Load()
	for i, ref := range res.Refs {
		switch {
		case ref == NoSeries:
		case !timesValid(b, &b.Series[i]):
			res.reject(i, b, model.ReasonTime, errTime)
		case !pageOf(pages, ref).has(ref) && !t.enter(d, ref, t.opts.MaxSeries):
			res.reject(i, b, model.ReasonSeries, t.tooManySeries())
		default:
			res.accept(ref, i, b)
		}
	}
	if len(res.unknown) > 0 {
		t.resolveUnknown(d, known, b, res)
	}
	return d.openDays(&res.tally, t.opts.MaxDays)
}

func (r *Resolved) reset(d *tenantData, n, maxDays int) {
	r.tenant = d
	r.Refs = slices.Grow(r.Refs[:0], n)[:n]
	r.unknown = r.unknown[:0]
	r.Rejected, r.RejectedSamples, r.Reasons, r.Samples, r.Histograms, r.rows = nil, 0, nil, 0, 0, 0
	r.tally.reset(maxDays)
}

// errTime is the fault of a sample that Varve does not keep.
var errTime = fmt.Errorf("sample outside the years 0001 to 9999: %w", model.ErrInvalid)

func (t *Table) tooManySeries() error {
	return fmt.Errorf("tenant has %d series since the last flush, %w", t.opts.MaxSeries, errTooManySeries)
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
func (r *Resolved) accept(ref uint32, i int, b *model.Batch) {
	r.Refs[i] = ref
	bs := &b.Series[i]
	for _, x := range b.Samples[bs.First : bs.First+bs.Count] {
		r.tally.add(x.T)
	}
	r.Samples += int(bs.Count)
	for _, h := range b.Histograms[bs.FirstHistogram : bs.FirstHistogram+bs.HistogramCount] {
		r.tally.add(h.T)
		switch {
		case model.IsFloatWithStart(h.H):
			r.Samples++
		case model.IsRow(h.H):
			r.rows++
		default:
			r.Histograms++
		}
	}
}

// reject enters a refusal of the i-th series of the batch.
func (r *Resolved) reject(i int, b *model.Batch, reason model.Reason, err error) {
	r.Refs[i] = NoSeries
	bs := &b.Series[i]
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

// resolveUnknown finds or makes the series whose keys are no known aliases, and learns these, all together: so the refs and the
// aliases of a batch are neighbors, whatever else is being written.
func (t *Table) resolveUnknown(d *tenantData, known *aliases, b *model.Batch, res *Resolved) {
	n := d.names
	n.createMu.Lock()
	defer n.createMu.Unlock()
	for k := range res.unknown {
		u := &res.unknown[k]
		i := int(u.i)
		u.ref = NoSeries
		if !timesValid(b, &b.Series[i]) {
			res.reject(i, b, model.ReasonTime, errTime)
			continue
		}
		ref, err := t.resolveNew(d, b, b.Series[i].Key, res)
		if err != nil {
			reason := model.ReasonLabels
			switch {
			case errors.Is(err, errTooManySeries):
				reason = model.ReasonSeries
			case errors.Is(err, model.ErrLimit):
				reason = model.ReasonLimit
			}
			res.reject(i, b, reason, err)
			continue
		}
		u.ref = ref
		res.accept(ref, i, b)
	}
	limit := aliasFloor + aliasesPerSeries*n.index.len()
	t.names.bytes.Add(int64(known.insert(res.unknown, limit)))
}

// resolveNew finds or makes the series of a key. createMu is held.
func (t *Table) resolveNew(d *tenantData, b *model.Batch, key []byte, res *Resolved) (uint32, error) {
	res.builder.Reset()
	if err := b.Labels.Decode(key, &res.builder); err != nil {
		return NoSeries, fmt.Errorf("decode labels: %w", err)
	}
	res.builder.Sort()
	ls, err := t.opts.clean(res.builder.Labels())
	if err != nil {
		return NoSeries, err
	}
	ref, h := t.names.find(d.names, ls)
	if ref == NoSeries {
		if t.full(d, t.opts.MaxSeries) {
			return NoSeries, t.tooManySeries()
		}
		ref = t.names.create(d.names, ls, h)
	}
	if !t.enter(d, ref, t.opts.MaxSeries) {
		return NoSeries, t.tooManySeries()
	}
	return ref, nil
}
