package ingester

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func batchAt(ts ...int64) *model.Batch {
	b := &model.Batch{}
	for _, t := range ts {
		b.Samples = append(b.Samples, model.Sample{T: t})
	}
	return b
}

func TestChanges(t *testing.T) {
	var c changes
	c.note("a", batchAt(5)) // nobody has asked for a yet
	start, _, ok := c.since("a", 0)
	require.False(t, ok)
	_, least, ok := c.since("a", start)
	require.True(t, ok)
	require.EqualValues(t, math.MaxInt64, least)

	c.note("b", batchAt(1))
	c.note("a", batchAt(100_000, 90_000))
	mid, least, ok := c.since("a", start)
	require.True(t, ok)
	require.EqualValues(t, 90_000, least)
	c.note("a", batchAt(200_000))
	_, least, _ = c.since("a", mid)
	require.EqualValues(t, 200_000, least)
	c.note("a", &model.Batch{Histograms: []model.HistogramSample{{T: 7}}})
	_, least, _ = c.since("a", mid)
	require.EqualValues(t, 7, least, "late")
	_, _, ok = c.since("a", mid+100)
	require.False(t, ok, "a moment to come")
}

// TestChangesLoseNothing compares with a list of everything.
func TestChangesLoseNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var c changes
	first, _, _ := c.since("a", 0)
	moments, all := []uint64{first}, []int64{}
	at, unknown := int64(0), 0
	for n := range 20_000 {
		at += rng.Int64N(20_000)
		x := at
		if rng.IntN(50) == 0 {
			x -= rng.Int64N(1e6)
		}
		c.note("a", batchAt(x))
		all = append(all, x)
		if n%7 == 0 {
			k := rng.IntN(len(moments))
			now, least, ok := c.since("a", moments[k])
			if !ok {
				unknown++
			} else {
				want := int64(math.MaxInt64)
				for _, x := range all[moments[k]-first:] {
					want = min(want, x)
				}
				require.LessOrEqual(t, least, want)
				require.Less(t, want-least, int64(changeGrainMs))
			}
			moments = append(moments, now)
		}
	}
	require.NotZero(t, unknown, "the log is bounded")
	require.LessOrEqual(t, len(c.byTenant["a"].log), maxChanges)
}

// TestChangesOfManyTenants: names that nobody has are asked for, and what was told of a tenant that was let go is not taken up again.
func TestChangesOfManyTenants(t *testing.T) {
	var c changes
	moment, _, _ := c.since("a", 0)
	for range 10 {
		c.note("a", batchAt(7))
	}
	late, _, _ := c.since("a", moment)
	for n := range 3 * maxWatched {
		c.since(strconv.Itoa(n), 0)
	}
	require.LessOrEqual(t, len(c.byTenant), maxWatched)
	delete(c.byTenant, "a") // if chance has spared it
	c.before = max(c.before, late)
	now, _, ok := c.since("a", late)
	require.False(t, ok)
	require.Greater(t, now, late)
	c.note("a", batchAt(3))
	_, _, ok = c.since("a", late)
	require.False(t, ok, "what came meanwhile is not known")
	_, least, ok := c.since("a", now)
	require.True(t, ok)
	require.EqualValues(t, 3, least)
}
