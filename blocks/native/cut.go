package native

import (
	"sort"

	"github.com/varvedb/varve/model"
)

const (
	// chunkTarget is the number of samples above which a series is cut into several chunks.
	chunkTarget = 4096
	// chunkMax is the largest number of samples of a chunk.
	chunkMax = 2 * chunkTarget
	// chunkBytes bounds the histograms of a chunk, but for the last.
	chunkBytes = 128 << 10
)

// ladder holds the durations, in ms, at whose multiples series are cut.
var ladder = [...]int64{
	12 * 3600e3, 8 * 3600e3, 6 * 3600e3, 4 * 3600e3, 2 * 3600e3, 3600e3, 1800e3, 900e3, 300e3, 120e3, 60e3, 30e3, 10e3, 5e3, 1e3, 500, 100, 10, 1,
}

// cut returns the ends of the chunks of a series.
func cut(c *model.Columns) []int {
	step := int64(0)
	if n := int64(len(c.T)); n > chunkTarget {
		span := c.T[n-1] - c.T[0] + 1
		step = 1
		for _, d := range ladder {
			if n*d/span <= chunkTarget {
				step = d
				break
			}
		}
	} else if c.H == nil {
		return []int{len(c.T)}
	}
	var ends []int
	for from := 0; from < len(c.T); {
		to := len(c.T)
		if step > 0 {
			edge := (floorDiv(c.T[from], step) + 1) * step
			to = from + sort.Search(len(c.T)-from, func(i int) bool { return c.T[from+i] >= edge })
		}
		from = end(c.H, from, min(to, from+chunkMax))
		ends = append(ends, from)
	}
	return ends
}

// end returns where the chunk that begins at from ends, at the latest at to, for the sake of the size of its histograms.
func end(h [][]byte, from, to int) int {
	if h == nil {
		return to
	}
	size := 0
	for i := from; i < to; i++ {
		if size += len(h[i]); size >= chunkBytes {
			return i + 1
		}
	}
	return to
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
