package promchunk

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// histograms is a chunk with one histogram.
func histograms(t testing.TB, h *histogram.Histogram) []byte {
	c := chunkenc.NewHistogramChunk()
	app, err := c.Appender()
	require.NoError(t, err)
	_, _, _, err = app.AppendHistogram(nil, 0, 1000, h, false)
	require.NoError(t, err)
	return c.Bytes()
}

func floats(t testing.TB) []byte {
	c := chunkenc.NewXORChunk()
	app, err := c.Appender()
	require.NoError(t, err)
	app.Append(0, 1000, 1)
	app.Append(0, 2000, math.Pi)
	return c.Bytes()
}

var everything = model.TimeRange{MinMs: math.MinInt64, MaxMs: math.MaxInt64}

// TestForeign takes whole chunks and leaves out those that cannot be.
func TestForeign(t *testing.T) {
	var d Decoder
	c := &model.Columns{}
	require.NoError(t, d.Foreign(c, uint8(chunkenc.EncXOR), floats(t), everything))
	h := tsdbutil.GenerateTestHistogram(3)
	require.NoError(t, d.Foreign(c, uint8(chunkenc.EncXOR), floats(t), model.TimeRange{MinMs: 5000, MaxMs: 6000}))
	require.Equal(t, []int64{1000, 2000}, c.T)
	good := histograms(t, h)
	h.PositiveSpans = []histogram.Span{{Offset: 0, Length: maxBuckets + 1}}
	h.PositiveBuckets = make([]int64, maxBuckets+1)
	for name, bad := range map[string]struct {
		e uint8
		b []byte
	}{
		"none": {1, nil}, "short": {1, []byte{0, 9}}, "encoding": {99, good}, "cut": {1, floats(t)[:5]}, "cut histogram": {2, good[:9]}, "floats as histograms": {2, floats(t)},
		"before": {1, floats(t)}, "buckets": {2, histograms(t, h)},
	} {
		require.ErrorIs(t, d.Foreign(c, bad.e, bad.b, everything), model.ErrCorrupt, name)
		require.Equal(t, []int64{1000, 2000}, c.T, name)
	}
	c.Reset()
	require.NoError(t, d.Foreign(c, uint8(chunkenc.EncHistogram), good, everything))
	require.Len(t, c.H, 1)
}

// FuzzForeign neither panics nor takes memory that the bytes do not ask for by their length.
func FuzzForeign(f *testing.F) {
	f.Add(uint8(1), floats(f))
	f.Add(uint8(2), histograms(f, tsdbutil.GenerateTestHistogram(3)))
	f.Add(uint8(2), histograms(f, tsdbutil.GenerateTestCustomBucketsHistogram(3)))
	f.Fuzz(func(t *testing.T, e uint8, b []byte) {
		var d Decoder
		c := &model.Columns{}
		if err := d.Foreign(c, e%8, b, everything); err != nil {
			require.ErrorIs(t, err, model.ErrCorrupt)
			require.Zero(t, c.Len())
			return
		}
		for i := 1; i < c.Len(); i++ {
			require.Less(t, c.T[i-1], c.T[i])
		}
	})
}
