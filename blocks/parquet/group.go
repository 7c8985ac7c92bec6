package parquet

import "github.com/varvedb/varve/model"

// group is a row group in the making: the rows of one window of the open range.
type group struct {
	k          *coder
	kind       Kind
	columns    []column
	rows       int
	minT, maxT int64
	chunks     []chunk
	metrics    texts
	labels     texts
	// stripes are the closed ones, flags those of any. extras is set from the first sample on that is no plain float.
	stripes []stripe
	flags   stripeFlags
	extras  bool

	// The open stripe, column by column.
	t       []int64
	numbers []number
	special []special
	bytes   int
	pieces  int // series, or stretches of one, in it

	// base is where each chunk lies in the object, once written.
	base []int64
}

// stripe is a cut of a row group at which all columns that a reader needs begin a page.
type stripe struct {
	rows  int
	flags stripeFlags
	// at and length of the pages by stored column, at within their chunk.
	at, length [maxStored]int
}

func newGroup(k *coder, kind Kind) group {
	g := group{k: k, kind: kind, columns: kind.columns()}
	g.chunks, g.base = make([]chunk, len(g.columns)), make([]int64, len(g.columns))
	for i := range kind.numbers() {
		g.numbers = append(g.numbers, newNumber(kind, i))
	}
	g.reset()
	return g
}

func (g *group) reset() {
	g.rows, g.extras, g.flags, g.stripes = 0, false, 0, g.stripes[:0]
	for i := range g.chunks {
		g.chunks[i].reset(g.columns[i].enc)
	}
	g.metrics.reset()
	g.labels.reset()
	g.resetStripe()
}

func (g *group) resetStripe() {
	g.t = g.t[:0]
	for i := range g.numbers {
		g.numbers[i].reset()
	}
	clear(g.special)
	g.special, g.bytes, g.pieces = g.special[:0], 0, 0
}

// size is roughly what the group takes in memory.
func (g *group) size() int {
	n := g.bytes
	for i := range g.chunks {
		n += len(g.chunks[i].pages)
	}
	return n
}

// begin makes the dictionaries that do not hang on what comes.
func (g *group) begin() {
	for i := range g.numbers {
		if !g.kind.lone(i) {
			g.chunks[colTs+g.kind.at(i)].dict(g.k, g.kind.scales(), g.k.integers(g.kind.firstScale(), g.kind.scales()))
		}
	}
	g.chunks[g.kind.extra(extraKind)].dict(g.k, kinds, g.k.integers(0, kinds))
}

// add adds the rows [from, to) of a series, of samples in the first of the numbers.
func (g *group) add(c *model.Rollup, from, to int) {
	if g.rows == 0 {
		g.minT, g.maxT = c.T[from], c.T[from]
		g.begin()
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
		g.pieces++
		from += n
		if len(g.t) >= stripeRows || g.bytes >= stripeBytes {
			g.closeStripe()
		}
	}
}

// take puts rows into the open stripe, fewer than asked if histograms fill it, and returns their number.
func (g *group) take(c *model.Rollup, from, to int) int {
	v := c.V[0][from:to]
	if c.H != nil {
		v = g.takeSpecial(c, from, to)
		to = from + len(v)
	}
	g.t = append(g.t, c.T[from:to]...)
	if g.kind == Samples {
		g.k.misfits = g.numbers[0].add(v, g.k.misfits)
		return len(v)
	}
	for i := range g.numbers {
		n, v := &g.numbers[i], c.V[i][from:to]
		if g.kind.lone(i) {
			n.addIntegers(v)
			continue
		}
		var marks []int8
		if c.H != nil || g.kind.derives(i) {
			marks = g.k.mark(c, model.Aggregate(i), from, to)
		}
		if marks == nil {
			g.k.misfits = n.add(v, g.k.misfits)
		} else {
			n.addMarked(v, marks, g.k)
		}
	}
	return to - from
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
	s := stripe{rows: n}
	// Where series are short, jumps to the next one make nearly all widths wide, and zstd finds the zeros of the others in whole bytes only.
	whole := n < wholeRows*g.pieces
	g.page(&s, 0, encDelta, g.k.delta(g.t, true))
	for i := range g.numbers {
		x, at := &g.numbers[i], g.kind.at(i)
		s.flags |= x.flags
		if g.kind.lone(i) {
			g.page(&s, at, encDelta, g.k.delta(x.scaled, whole))
			continue
		}
		g.page(&s, at, encDictionary, g.k.runs(x.scale, g.kind.scales()))
		g.page(&s, at+1, encDelta, g.k.delta(x.scaled, whole))
		g.page(&s, at+2, encPlain, g.k.doubles(x.value))
	}
	g.flags |= s.flags
	if g.extras {
		g.closeExtras(&s, g.special)
	}
	g.stripes = append(g.stripes, s)
	g.resetStripe()
}

// page appends a page of the stripe to column i, counted from ts.
func (g *group) page(s *stripe, i int, enc encoding, raw []byte) {
	c := &g.chunks[colTs+i]
	at := len(c.pages)
	c.data(g.k, enc, s.rows, raw)
	if i < g.kind.stored() {
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
