package memtable

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Rows are the exemplars and metadata of a batch as samples of reserved series (model.ReservedLabel), found or made. The zero value is ready;
// one that is used again allocates nothing for known series. Not for concurrent use.
type Rows struct {
	// Batch has a series of one row each, Resolved its refs: they are logged and appended as any batch is. Batch.Labels is nil.
	Batch    model.Batch
	Resolved Resolved
	// Exemplars are those that are kept, those that were there already included. DroppedExemplars and DroppedMetadata count what is not: exemplars of series
	// that are not known, and whatever is too much.
	Exemplars, DroppedExemplars, DroppedMetadata int

	// said are the rows of each metric in the batch, by their places in Batch.Histograms.
	said map[uint32][]int
}

// What a table keeps of rows. All that is beyond is dropped: nobody would look at it.
const (
	// maxExemplarRows bounds the rows of a series: 2 hours of one every 8 seconds.
	maxExemplarRows = 1024
	// maxRowBytes bounds one row.
	maxRowBytes = 16 << 10
	// maxMetadataRows bounds the rows of a metric, each of which says something else.
	maxMetadataRows = 16
	// recentRows is how many of the last rows of a series an exemplar is compared with, to find out that it was sent before.
	recentRows = 16
)

// metadataAliases are in place of a decoder's name: the keys are names of metrics. No decoder has a NUL in its name.
const metadataAliases = "\x00metadata"

// Empty reports whether there is nothing to log and append.
func (r *Rows) Empty() bool { return len(r.Batch.Series) == 0 }

// Reset makes the rows those of a batch that has none, and refers to no other any more.
func (r *Rows) Reset() {
	b := &r.Batch
	clear(b.Histograms)
	b.Series, b.Histograms = b.Series[:0], b.Histograms[:0]
	r.Exemplars, r.DroppedExemplars, r.DroppedMetadata = 0, 0, 0
	clear(r.said)
}

// ResolveRows finds or makes the reserved series of the exemplars and metadata of a batch, after Resolve, and writes them to rows: what is there already is left out. nowMs is
// the time of what is said of metrics. The error is that of Resolve. Rows alias the batch.
func (t *Table) ResolveRows(tenant string, b *model.Batch, nowMs int64, rows *Rows) error {
	d := t.tenant(tenant, true)
	rows.Reset()
	rows.Resolved.reset(d, 0, t.opts.MaxDays)
	if len(b.Exemplars) > 0 {
		t.resolveExemplars(d, b, rows)
	}
	if len(b.Metadata) > 0 {
		t.resolveMetadata(d, b, nowMs, rows)
	}
	return d.openDays(&rows.Resolved.tally, t.opts.MaxDays)
}

func (t *Table) resolveExemplars(d *tenantData, b *model.Batch, rows *Rows) {
	n := d.names
	known := n.aliasesOf(b.Labels.Name())
	n.createMu.Lock()
	defer n.createMu.Unlock()
	for i := range b.Exemplars {
		e := &b.Exemplars[i]
		series, ok := t.knownSeries(d, known, b, e.Key, &rows.Resolved.builder)
		if !ok || !checkTime(e.T) || len(e.Row) > maxRowBytes {
			rows.DroppedExemplars += e.Count
			continue
		}
		ref := t.exemplarSeries(d, series, &rows.Resolved.builder)
		had, full, _ := t.hasRow(ref, e.T, e.Row, recentRows, maxExemplarRows)
		switch {
		case !had && full:
			rows.DroppedExemplars += e.Count
			continue
		case !had:
			rows.add(ref, e.T, e.Row)
		}
		rows.Exemplars += e.Count
	}
}

// knownSeries finds the series of a key. One that is not known is not made: nothing of it was ever written. createMu is held.
func (t *Table) knownSeries(d *tenantData, known *aliases, b *model.Batch, key []byte, builder *labels.ScratchBuilder) (uint32, bool) {
	if ref, ok := known.ref(t.names.hasher.sum(key)); ok {
		return ref, true
	}
	builder.Reset()
	if b.Labels.Decode(key, builder) != nil {
		return NoSeries, false
	}
	builder.Sort()
	ls, err := t.opts.clean(builder.Labels())
	if err != nil {
		return NoSeries, false
	}
	ref, _ := t.names.find(d.names, ls)
	return ref, ref != NoSeries
}

// exemplarSeries finds or makes the series of the exemplars of a series. createMu is held.
func (t *Table) exemplarSeries(d *tenantData, series uint32, builder *labels.ScratchBuilder) uint32 {
	ref, ok := d.names.exemplars[series]
	if !ok {
		builder.Reset()
		model.ExemplarSeries(builder, t.names.labels(series))
		builder.Sort()
		ref = t.reservedSeries(d, builder.Labels())
		d.names.exemplars[series] = ref
		t.names.bytes.Add(exemplarBytes)
	}
	t.enterReserved(&d.exemplars, ref, 0)
	return ref
}

// exemplarBytes is about what an entry of tenantNames.exemplars takes.
const exemplarBytes = 16

// reservedSeries finds or makes a series of ours. createMu is held.
func (t *Table) reservedSeries(d *tenantData, ls labels.Labels) uint32 {
	ref, h := t.names.find(d.names, ls)
	if ref == NoSeries {
		ref = t.names.create(d.names, ls, h)
	}
	return ref
}

func (t *Table) resolveMetadata(d *tenantData, b *model.Batch, nowMs int64, rows *Rows) {
	n := d.names
	known := n.aliasesOf(metadataAliases)
	n.createMu.Lock()
	defer n.createMu.Unlock()
	for i := range b.Metadata {
		m := &b.Metadata[i]
		h := t.names.hasher.sum(m.Metric)
		ref, ok := known.ref(h)
		switch {
		case ok:
		case len(m.Metric) == 0 || len(m.Metric) > t.opts.MaxValueBytes || len(m.Row) > maxRowBytes || !checkTime(nowMs) || !validMetric(m.Metric):
			rows.DroppedMetadata++
			continue
		default:
			if t.fullMetadata(d) {
				rows.DroppedMetadata++
				continue
			}
			ref = t.reservedSeries(d, model.MetadataSeries(string(m.Metric)))
			limit := aliasFloor + aliasesPerSeries*n.index.len()
			t.names.bytes.Add(int64(known.insert([]unknown{{ref: ref, h: h}}, limit)))
		}
		if !t.enterReserved(&d.metadata, ref, t.opts.MaxMetadata) {
			rows.DroppedMetadata++
			continue
		}
		t.addMetadata(ref, m.Row, nowMs, rows)
	}
}

// addMetadata adds a row if it says what no other does.
func (t *Table) addMetadata(ref uint32, row []byte, nowMs int64, rows *Rows) {
	had, full, lastMs := t.hasRow(ref, anyTime, row, maxMetadataRows, maxMetadataRows)
	nowMs = max(nowMs, lastMs+1) // rows that say something else are kept apart by their times
	said := rows.said[ref]
	for _, i := range said {
		h := &rows.Batch.Histograms[i]
		had = had || string(h.H) == string(row)
		nowMs = max(nowMs, h.T+1)
	}
	switch {
	case had:
		return
	case full || len(said) >= maxMetadataRows:
		rows.DroppedMetadata++
		return
	}
	if rows.said == nil {
		rows.said = map[uint32][]int{}
	}
	rows.said[ref] = append(said, len(rows.Batch.Histograms))
	rows.add(ref, nowMs, row)
}

// add enters a row.
func (r *Rows) add(ref uint32, t int64, row []byte) {
	b := &r.Batch
	b.Series = append(b.Series, model.BatchSeries{FirstHistogram: int32(len(b.Histograms)), HistogramCount: 1})
	b.Histograms = append(b.Histograms, model.HistogramSample{T: t, H: row})
	r.Resolved.Refs = append(r.Resolved.Refs, ref)
	r.Resolved.tally.add(t)
	r.Resolved.rows++
}

// anyTime is in place of a time for rows whose time does not matter.
const anyTime = int64(-1) << 63

// hasRow looks for a row among the last ones of a series, whether that has as many rows as it may, and of when the last one is.
func (t *Table) hasRow(ref uint32, at int64, row []byte, last, limit int) (had, full bool, lastMs int64) {
	p := pageOf(*t.pages.Load(), ref)
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.series[ref%pageSeries].side
	if d == nil || d.histograms == nil {
		return false, false, model.MinTimeMs
	}
	n := len(d.samples)
	for i := n - 1; i >= max(n-last, 0); i-- {
		if (at == anyTime || d.samples[i].t == at) && string(d.histograms[i]) == string(row) {
			return true, false, d.samples[n-1].t
		}
	}
	return false, n >= limit, d.samples[n-1].t
}
