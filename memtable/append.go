package memtable

import "github.com/varvedb/varve/model"

// Append adds the samples of the batch, as resolved. It cannot fail: it is called once the log holds them. It
// panics if the table is sealed, because those samples would be acknowledged and never flushed. Nothing of the batch is kept.
func (t *Table) Append(b *model.Batch, res *Resolved) {
	if t.sealed.Load() {
		panic("bug: memtable: append to a sealed generation")
	}
	// The days are visible before the samples are, and a batch is acknowledged after both.
	res.tenant.addDays(&res.tally)
	pages := *t.pages.Load()
	var counts [overwritten + 1]int64
	var locked *page
	sideBytes := int64(0)
	for i, ref := range res.Refs {
		if ref == NoSeries {
			continue
		}
		if p := pages[ref/pageSeries].Load(); p != locked {
			if locked != nil {
				locked.mu.Unlock()
			}
			p.mu.Lock()
			locked = p
		}
		bs, s := &b.Series[i], &locked.series[ref%pageSeries]
		for _, x := range b.Samples[bs.First : bs.First+bs.Count] {
			counts[s.push(&t.arena, x.T, x.V)]++
		}
		for _, h := range b.Histograms[bs.FirstHistogram : bs.FirstHistogram+bs.HistogramCount] {
			// Never nil, which would make it a float.
			counts[s.pushHistogram(h.T, append(make([]byte, 0, len(h.H)), h.H...))]++
			sideBytes += int64(len(h.H)) + 64
		}
	}
	if locked != nil {
		locked.mu.Unlock()
	}
	sideBytes += (counts[beside] + counts[outOfOrder] + counts[overwritten]) * sideSampleBytes
	t.otherBytes.Add(sideBytes)
	t.samples.Add(int64(res.Samples))
	t.histograms.Add(int64(res.Histograms))
	t.outOfOrder.Add(counts[outOfOrder])
	t.duplicates.Add(counts[duplicate])
	t.overwritten.Add(counts[overwritten])
}
