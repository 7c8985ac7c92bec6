package parquet

import "github.com/varvedb/varve/model"

// group is a row group in the making: the rows of one window of the open range.
type group struct {
	k          *coder
	rows       int
	minT, maxT int64
	chunks     [columns]chunk
	metrics    texts
	labels     texts
	// stripes are the closed ones. extras is set from the first sample on that is no plain float.
	stripes []stripe
	extras  bool

	// The open stripe, column by column.
	t, scaled []int64
	value     []float64
	scale     runs
	doubles   bool
	special   []special
	bytes     int

	misfits []int32
	floats  []float64

	// base is where each chunk lies in the object, once written.
	base [columns]int64
}

// stripe is a cut of a row group at which all columns that a reader needs begin a page.
type stripe struct {
	rows    int
	doubles bool
	// at and length of the pages by storedColumn, at within their chunk.
	at, length [storedColumns]int
}

// storedColumns are those that Varve reads: ts, scale, scaled, value, and of the extras kind, start, histogram.
const (
	coreColumns   = 4
	storedColumns = 7
)

// storedColumn returns the columns that Varve reads; they lie side by side.
func storedColumn(i int) int { return colTs + i }

func (g *group) reset() {
	g.rows, g.extras, g.stripes = 0, false, g.stripes[:0]
	encodings := [columns]encoding{
		colMetric: encDictionary, colLabels: encDictionary, colTs: encDelta, colScale: encDictionary, colScaled: encDelta, colValue: encPlain,
		colKind: encDictionary, colStart: encDictionary, colHistogram: encDictionary, colCount: encDictionary, colSum: encDictionary,
		colSchema: encDictionary, colZeroThreshold: encDictionary, colZeroCount: encDictionary,
	}
	for i := range g.chunks {
		g.chunks[i].reset(encodings[i])
	}
	g.metrics.reset()
	g.labels.reset()
	g.resetStripe()
}

func (g *group) resetStripe() {
	g.t, g.scaled, g.value, g.scale, g.doubles = g.t[:0], g.scaled[:0], g.value[:0], g.scale[:0], false
	clear(g.special)
	g.special, g.bytes = g.special[:0], 0
}

// size is roughly what the group takes in memory.
func (g *group) size() int {
	n := g.bytes
	for i := range g.chunks {
		n += len(g.chunks[i].pages)
	}
	return n
}

// add adds the samples [from, to) of a series.
func (g *group) add(c *model.Columns, from, to int) {
	if g.rows == 0 {
		g.minT, g.maxT = c.T[from], c.T[from]
		g.chunks[colScale].dict(g.k, scales, g.k.numbers(-1, scales))
		g.chunks[colKind].dict(g.k, kinds, g.k.numbers(0, kinds))
	}
	g.minT, g.maxT = min(g.minT, c.T[from]), max(g.maxT, c.T[to-1])
	g.rows += to - from
	for from < to {
		n := to - from
		if len(g.t) > 0 && len(g.t)+n > stripeSlack {
			g.closeStripe()
		}
		if n > stripeSlack {
			n = stripeRows
		}
		n = g.take(c, from, from+n)
		from += n
		if len(g.t) >= stripeRows || g.bytes >= stripeBytes {
			g.closeStripe()
		}
	}
}

// take puts samples into the open stripe, fewer than asked if histograms fill it, and returns their number.
func (g *group) take(c *model.Columns, from, to int) int {
	at := len(g.t)
	v := c.V[from:to]
	if c.H != nil {
		v = g.takeSpecial(c, from, to)
		to = from + len(v)
	}
	g.t = append(g.t, c.T[from:to]...)
	g.scaled = grow(g.scaled, len(v))
	m := g.scaled[at:]
	g.value = grow(g.value, len(v))
	doubles := g.value[at:]
	clear(doubles)
	k, misfits := scaleAll(m, v, g.misfits)
	g.misfits = misfits
	if k < 0 {
		copy(doubles, v)
		g.doubles = true
		g.scale.add(0, len(v))
		return len(v)
	}
	done := 0
	for _, i := range misfits {
		g.scale.add(uint32(k+1), int(i)-done)
		g.scale.add(0, 1)
		doubles[i] = v[i]
		done = int(i) + 1
		g.doubles = true
	}
	g.scale.add(uint32(k+1), len(v)-done)
	return len(v)
}

// grow returns s with n more elements of any content.
func grow[T any](s []T, n int) []T {
	if len(s)+n <= cap(s) {
		return s[:len(s)+n]
	}
	return append(s, make([]T, n)...)
}

// closeStripe makes pages of the open stripe.
func (g *group) closeStripe() {
	n := len(g.t)
	if n == 0 {
		return
	}
	if len(g.special) > 0 && !g.extras {
		g.beginExtras()
	}
	s := stripe{rows: n, doubles: g.doubles}
	g.page(&s, colTs, encDelta, g.k.delta(g.t, true))
	g.page(&s, colScale, encDictionary, g.k.runs(g.scale, scales))
	g.page(&s, colScaled, encDelta, g.k.delta(g.scaled, false))
	g.page(&s, colValue, encPlain, g.k.doubles(g.value))
	if g.extras {
		g.closeExtras(&s, g.special)
	}
	g.stripes = append(g.stripes, s)
	g.resetStripe()
}

// page appends a page of the stripe.
func (g *group) page(s *stripe, col int, enc encoding, raw []byte) {
	c := &g.chunks[col]
	at := len(c.pages)
	c.data(g.k, enc, s.rows, raw)
	if i := col - colTs; i < storedColumns {
		s.at[i], s.length[i] = at, len(c.pages)-at
	}
}

// finish completes all chunks.
func (g *group) finish() {
	g.closeStripe()
	g.metrics.finish(&g.chunks[colMetric], g.k, g.rows)
	g.labels.finish(&g.chunks[colLabels], g.k, g.rows)
	if !g.extras {
		g.noExtras()
	}
}
