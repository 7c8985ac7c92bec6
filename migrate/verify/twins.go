package verify

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// twins finds series of one day that are there under other labels: one that is missing, one that is extra, and the same samples in both. It looks at the first of them.
type twins struct {
	bound int
	of    [2]map[uint64]twin // what is missing, what is extra, by the hash of its samples
	count [2]int
}

// twin is a series that one side lacks; at is where it is named, or -1.
type twin struct {
	at     int
	labels labels.Labels
}

func (t *twins) missing(at int, ls labels.Labels, c *model.Columns) { t.add(0, at, ls, c) }
func (t *twins) extra(at int, ls labels.Labels, c *model.Columns)   { t.add(1, at, ls, c) }

func (t *twins) add(side, at int, ls labels.Labels, c *model.Columns) {
	// One sample is like another by chance.
	if t.count[side] >= t.bound || c.Len() < 2 {
		return
	}
	if t.of[side] == nil {
		t.of[side] = map[uint64]twin{}
	}
	t.count[side]++
	t.of[side][hashOf(c)] = twin{at, ls}
}

// hint says of each pair that was found where its other half is.
func (t *twins) hint(named []Difference) {
	for h, m := range t.of[0] {
		e, ok := t.of[1][h]
		if !ok {
			continue
		}
		if m.at >= 0 {
			named[m.at].Hint = fmt.Sprintf("the bucket has the same samples as %s", e.labels)
		}
		if e.at >= 0 {
			named[e.at].Hint = fmt.Sprintf("the source has the same samples as %s", m.labels)
		}
	}
}

func hashOf(c *model.Columns) uint64 {
	var d xxhash.Digest
	d.Reset()
	var b [16]byte
	for i, t := range c.T {
		binary.LittleEndian.PutUint64(b[:], uint64(t))
		binary.LittleEndian.PutUint64(b[8:], math.Float64bits(c.V[i]))
		_, _ = d.Write(b[:]) // it cannot fail
		_, _ = d.Write(histogramAt(c, i))
	}
	return d.Sum64()
}
