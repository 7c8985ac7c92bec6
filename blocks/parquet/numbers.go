package parquet

import (
	"encoding/binary"
	"math"
	"slices"
)

// numbers are one number of each row of a stripe, decoded from its columns.
type numbers struct {
	scale  []int8
	scaled []int64
	value  []byte // 8 bytes a row; empty if no scale is −1
}

func (n *numbers) reset() { n.scale, n.scaled, n.value = n.scale[:0], n.scaled[:0], n.value[:0] }

func (n *numbers) size() int { return cap(n.scale) + 8*cap(n.scaled) + cap(n.value) }

// decode takes the pages of number i.
func (n *numbers) decode(d *stripeDecoder, i int) {
	n.value = n.value[:0]
	if d.kind.lone(i) {
		n.scale = slices.Grow(n.scale[:0], d.Rows)[:d.Rows]
		clear(n.scale)
		n.scaled = d.delta(n.scaled)
		return
	}
	n.scale = d.runs(n.scale, d.kind.scales(), d.kind.firstScale())
	n.scaled = d.delta(n.scaled)
	if d.doubles(i) {
		raw := d.open(encPlain, 8*d.Rows)
		if d.err == nil && len(raw) != 8*d.Rows {
			d.err = corrupt("page of %d doubles in %d bytes", d.Rows, len(raw))
		}
		n.value = append(n.value, raw...)
	} else if d.err == nil && slices.Contains(n.scale, scaleDouble) {
		d.err = corrupt("stripe without doubles refers to them")
	}
}

// run returns the end of the run of rows of one scale that begins at i, at most to.
func (n *numbers) run(i, to int) int {
	end := i + 1
	for k := n.scale[i]; end < to && n.scale[end] == k; {
		end++
	}
	return end
}

// appendRuns appends the numbers of the rows [from, to), which do not follow from others.
func (n *numbers) appendRuns(dst []float64, from, to int) []float64 {
	for i := from; i < to; {
		end := n.run(i, to)
		dst = n.append(dst, i, end)
		i = end
	}
	return dst
}

// append is appendRuns for rows of one scale.
func (n *numbers) append(dst []float64, from, to int) []float64 {
	switch k := n.scale[from]; {
	case k >= 0:
		return unscale(dst, n.scaled[from:to], k)
	case k == scaleDouble:
		for i := from; i < to; i++ {
			dst = append(dst, math.Float64frombits(binary.LittleEndian.Uint64(n.value[8*i:])))
		}
		return dst
	default:
		return append(dst, make([]float64, to-from)...)
	}
}
