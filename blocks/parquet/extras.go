package parquet

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/model"
)

// special is a sample that is no plain float.
type special struct {
	row       int // in the stripe
	kind      int8
	start     int64
	histogram []byte
	// For SQL.
	schema                               int32
	count, sum, zeroThreshold, zeroCount float64
}

// takeSpecial notes the samples of [from, to) that are no plain floats, until they fill the stripe, and returns the floats beside them.
func (g *group) takeSpecial(c *model.Rollup, from, to int) []float64 {
	floats := append(g.k.floats[:0], c.V[0][from:to]...)
	g.k.floats = floats
	at := len(g.t) - from
	for i, h := range c.H[from:to] {
		if h == nil {
			continue
		}
		s, v := newSpecial(h)
		if g.kind == Rollups && s.kind == kindFloatStart {
			s = special{kind: kindOpaque, histogram: h} // there is no number beside it
		}
		s.row = at + from + i
		s.histogram = bytes.Clone(s.histogram)
		floats[i] = v
		g.special = append(g.special, s)
		if g.bytes += len(h); g.bytes >= stripeBytes {
			return floats[:i+1]
		}
	}
	return floats
}

// newSpecial takes the bytes of a sample apart such that restore gives them back, and returns the float in it.
func newSpecial(b []byte) (special, float64) {
	start, v, h, err := model.SplitStart(b)
	s := special{start: start, histogram: h}
	switch {
	case err != nil:
		return special{kind: kindOpaque, histogram: b}, 0
	case len(b) > 0 && len(h) == len(b):
		s.kind = kindHistogram
	case h != nil:
		s.kind = kindHistogramWithStart
	default:
		s.kind = kindFloatStart
	}
	if len(b) == 0 || !bytes.Equal(restore(s.kind, s.start, v, s.histogram), b) {
		return special{kind: kindOpaque, histogram: b}, 0
	}
	var m prompb.Histogram
	if h == nil || m.Unmarshal(h) != nil {
		return s, v
	}
	s.schema, s.sum, s.zeroThreshold = m.Schema, m.Sum, m.ZeroThreshold
	s.count, s.zeroCount = m.GetCountFloat(), m.GetZeroCountFloat()
	if _, ok := m.GetCount().(*prompb.Histogram_CountInt); ok {
		s.count = float64(m.GetCountInt())
	}
	if _, ok := m.GetZeroCount().(*prompb.Histogram_ZeroCountInt); ok {
		s.zeroCount = float64(m.GetZeroCountInt())
	}
	return s, v
}

// restore is the other way round; it returns nil for a plain float.
func restore(kind int8, start int64, v float64, histogram []byte) []byte {
	switch kind {
	case kindFloat:
		return nil
	case kindFloatStart:
		return model.FloatWithStart(start, v)
	case kindHistogramWithStart:
		return model.HistogramWithStart(start, histogram)
	}
	// Never nil, also where it is empty.
	return append(make([]byte, 0, len(histogram)), histogram...)
}

// beginExtras makes the pages that the closed stripes have not got.
func (g *group) beginExtras() {
	g.extras = true
	g.chunks[g.kind.extra(extraStart)].encoding = encDelta
	for col := g.kind.extra(extraHistogram); col < len(g.columns); col++ {
		g.chunks[col].encoding = encPlain
	}
	for i := range g.stripes {
		g.closeExtras(&g.stripes[i], nil)
	}
}

// closeExtras makes the pages of a stripe from kind on.
func (g *group) closeExtras(s *stripe, list []special) {
	var kind runs
	start := make([]int64, s.rows)
	done := 0
	for i := range list {
		x := &list[i]
		kind.add(kindFloat, x.row-done)
		kind.add(uint32(x.kind), 1)
		done = x.row + 1
		start[x.row] = x.start
	}
	kind.add(kindFloat, s.rows-done)
	at := g.kind.core()
	g.page(s, at+extraKind, encDictionary, g.k.runs(kind, kinds))
	g.page(s, at+extraStart, encDelta, g.k.delta(start, false))
	g.page(s, at+extraHistogram, encPlain, g.k.histograms(list, s.rows))
	if g.kind == Samples {
		g.closeSummaries(s, list)
	}
}

// closeSummaries makes the pages of a stripe that are there for SQL.
func (g *group) closeSummaries(s *stripe, list []special) {
	at := g.kind.core()
	column := func(i int, of func(*special) float64) {
		v := make([]float64, s.rows)
		for i := range list {
			v[list[i].row] = of(&list[i])
		}
		g.page(s, at+i, encPlain, g.k.doubles(v))
	}
	column(extraCount, func(x *special) float64 { return x.count })
	column(extraSum, func(x *special) float64 { return x.sum })
	column(extraZeroThreshold, func(x *special) float64 { return x.zeroThreshold })
	column(extraZeroCount, func(x *special) float64 { return x.zeroCount })
	g.k.raw = slices.Grow(g.k.raw[:0], 4*s.rows)[:4*s.rows]
	clear(g.k.raw)
	for i := range list {
		binary.LittleEndian.PutUint32(g.k.raw[4*list[i].row:], uint32(list[i].schema))
	}
	g.page(s, at+extraSchema, encPlain, g.k.raw)
}

// histograms is the PLAIN content of the column histogram.
func (k *coder) histograms(list []special, rows int) []byte {
	k.raw = k.raw[:0]
	row := 0
	for i := range list {
		k.raw = fill(slices.Grow(k.raw, 4*(list[i].row-row)), len(k.raw)+4*(list[i].row-row))
		k.raw = binary.LittleEndian.AppendUint32(k.raw, uint32(len(list[i].histogram)))
		k.raw = append(k.raw, list[i].histogram...)
		row = list[i].row + 1
	}
	return fill(slices.Grow(k.raw, 4*(rows-row)), len(k.raw)+4*(rows-row))
}

// noExtras makes the pages of a group of floats: one value for all rows.
func (g *group) noExtras() {
	for col, c := range g.columns {
		if col < g.kind.extra(extraKind) {
			continue
		}
		chunk := &g.chunks[col]
		if col == g.kind.extra(extraKind) {
			chunk.data(g.k, encDictionary, g.rows, g.k.runs(runs{{0, uint32(g.rows)}}, kinds))
			continue
		}
		size := 8
		if c.typ == typeInt32 || c.typ == typeByteArray {
			size = 4
		}
		chunk.dict(g.k, 1, make([]byte, size))
		chunk.data(g.k, encDictionary, g.rows, g.k.runs(runs{{0, uint32(g.rows)}}, 1))
	}
}
