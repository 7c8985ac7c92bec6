package native

import "github.com/varvedb/varve/model"

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
	from, size := 0, 0
	for i, t := range c.T {
		if i > from && (step > 0 && floorDiv(t, step) != floorDiv(c.T[i-1], step) || i-from >= chunkMax || size >= chunkBytes) {
			ends = append(ends, i)
			from, size = i, 0
		}
		if c.H != nil {
			size += len(c.H[i])
		}
	}
	return append(ends, len(c.T))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
