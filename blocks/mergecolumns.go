package blocks

import (
	"sort"

	"github.com/varvedb/varve/model"
)

// mergeTail puts the two ascending stretches [0, n) and [n, len) of c in order. The second wins ties.
func mergeTail(c, scratch *model.Columns, n int) {
	// Mostly the second follows the first, or nearly so.
	from := sort.Search(n, func(i int) bool { return c.T[i] >= c.T[n] })
	scratch.Reset()
	i, j := from, n
	for i < n || j < len(c.T) {
		switch {
		case j == len(c.T) || i < n && c.T[i] < c.T[j]:
			moveSample(scratch, c, i)
			i++
		case i < n && c.T[i] == c.T[j]:
			i++
		default:
			moveSample(scratch, c, j)
			j++
		}
	}
	c.T, c.V = append(c.T[:from], scratch.T...), append(c.V[:from], scratch.V...)
	if c.H == nil {
		return
	}
	c.H = c.H[:from]
	if scratch.H == nil {
		c.H = append(c.H, make([][]byte, len(scratch.T))...)
	} else {
		c.H = append(c.H, scratch.H...)
	}
}

// moveSample appends sample i of c to dst, its value as it stands even where there is a histogram.
func moveSample(dst, c *model.Columns, i int) {
	if c.H != nil && c.H[i] != nil {
		dst.AppendHistogram(c.T[i], c.H[i])
		return
	}
	dst.Append(c.T[i], c.V[i])
}
