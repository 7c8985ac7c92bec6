package parquet

import (
	"math"

	"github.com/varvedb/varve/model"
)

// number is one of the numbers of the rows of an open stripe, column by column.
type number struct {
	kind   Kind
	scaled []int64
	value  []float64
	scale  runs
	flags  stripeFlags
	// doubles and derived are the flags of this number.
	doubles, derived stripeFlags
}

func newNumber(k Kind, i int) number {
	return number{kind: k, doubles: k.doublesFlag(i), derived: k.derivedFlag(i)}
}

func (n *number) reset() {
	n.scaled, n.value, n.scale, n.flags = n.scaled[:0], n.value[:0], n.scale[:0], 0
}

func (n *number) addScale(scale, rows int) { n.scale.add(uint32(scale-n.kind.firstScale()), rows) }

// grow adds rows, with any content of scaled and zeros for value, and returns these.
func (n *number) grow(rows int) (scaled []int64, doubles []float64) {
	at := len(n.scaled)
	n.scaled = grow(n.scaled, rows)
	n.value = grow(n.value, rows)
	doubles = n.value[at:]
	clear(doubles)
	return n.scaled[at:], doubles
}

// add adds numbers of one series.
func (n *number) add(v []float64, misfits []int32) []int32 {
	m, doubles := n.grow(len(v))
	k, misfits := scaleAll(m, v, misfits)
	if k < 0 {
		copy(doubles, v)
		n.flags |= n.doubles
		n.addScale(scaleDouble, len(v))
		return misfits
	}
	done := 0
	for _, i := range misfits {
		n.addScale(k, int(i)-done)
		n.addScale(scaleDouble, 1)
		doubles[i] = v[i]
		done = int(i) + 1
		n.flags |= n.doubles
	}
	n.addScale(k, len(v)-done)
	return misfits
}

// addIntegers adds numbers that are integers.
func (n *number) addIntegers(v []float64) {
	m, _ := n.grow(len(v))
	for i, x := range v {
		m[i] = int64(x)
	}
}

// addMarked adds numbers of one series, of which those that are marked with a scale other than 0 are stored as that.
func (n *number) addMarked(v []float64, marks []int8, k *coder) {
	k.floats, k.scaled = k.floats[:0], k.scaled[:0]
	for i, x := range v {
		if marks[i] == 0 {
			k.floats = append(k.floats, x)
		}
	}
	k.scaled = grow(k.scaled, len(k.floats))
	var scale int
	scale, k.misfits = scaleAll(k.scaled, k.floats, k.misfits)
	m, doubles := n.grow(len(v))
	misfits, rest, done, last := k.misfits, k.scaled, 0, int64(0)
	if len(rest) > 0 {
		last = rest[0] // what comes before it makes no jump
	}
	for i, x := range v {
		s := scale
		switch {
		case marks[i] != 0:
			s = int(marks[i])
			if s == scaleLast {
				n.flags |= n.derived
			}
		default:
			last, rest = rest[0], rest[1:]
			if len(misfits) > 0 && int(misfits[0]) == done {
				misfits, s = misfits[1:], scaleDouble
			}
			done++
			if s == scaleDouble {
				doubles[i] = x
				n.flags |= n.doubles
			}
		}
		m[i] = last
		n.addScale(s, 1)
	}
}

// mark marks the rows [from, to) of number a that have none, or follow from Last, with the scale that says so. It returns nil if there are none. What follows from Last
// is looked for within these rows, and used where it is mostly so: else a run of scales costs more than a number.
func (k *coder) mark(c *model.Rollup, a model.Aggregate, from, to int) []int8 {
	k.marks = grow(k.marks[:0], to-from)
	clear(k.marks)
	marks, last := k.marks, c.V[model.Last]
	histogram := func(i int) bool { return c.H != nil && c.H[i] != nil }
	none, follow := 0, 0
	for i := from; i < to; i++ {
		var is bool
		switch {
		case histogram(i):
			marks[i-from] = scaleNone
			none++
			continue
		case a == model.Sum:
			is = math.Float64bits(c.V[a][i]) == math.Float64bits(c.V[model.Count][i]*last[i])
		case a == model.Max:
			is = math.Float64bits(c.V[a][i]) == math.Float64bits(last[i])
		case a == model.Increase && i > from && !histogram(i-1):
			is = math.Float64bits(c.V[a][i]) == math.Float64bits(last[i]-last[i-1])
		}
		if is {
			marks[i-from] = scaleLast
			follow++
		}
	}
	if follow > 0 && 4*follow < 3*(to-from-none) {
		follow = 0
		for i := range marks {
			if marks[i] == scaleLast {
				marks[i] = 0
			}
		}
	}
	if none+follow == 0 {
		return nil
	}
	return marks
}
