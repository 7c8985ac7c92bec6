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
			sideBytes += histogramBytes(h.H)
		}
	}
	if locked != nil {
		locked.mu.Unlock()
	}
	t.otherBytes.Add(sideBytes)
	t.samples.Add(int64(res.Samples))
	t.histograms.Add(int64(res.Histograms))
	t.rows.Add(int64(res.rows))
	t.count(&counts)
}

// histogramBytes is about what a histogram takes besides its entry in the side buffer.
func histogramBytes(h []byte) int64 { return int64(len(h)) + 64 }

// count enters what became of samples.
func (t *Table) count(verdicts *[overwritten + 1]int64) {
	t.otherBytes.Add((verdicts[beside] + verdicts[outOfOrder] + verdicts[overwritten]) * sideSampleBytes)
	t.outOfOrder.Add(verdicts[outOfOrder])
	t.duplicates.Add(verdicts[duplicate])
	t.overwritten.Add(verdicts[overwritten])
}
