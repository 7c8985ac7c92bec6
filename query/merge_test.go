package query

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func random(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// sampleAt is a sample that tells which part it came from.
func sampleAt(c *model.Columns, at int64, part int, isHistogram bool) {
	if isHistogram {
		c.AppendHistogram(at, []byte(fmt.Sprintf("%d/%d", part, at)))
	} else {
		c.Append(at, float64(part)*1e6+float64(at))
	}
}

// TestDecodeProperty merges random parts, overlapping or not, with floats and histograms, and compares with a map.
func TestDecodeProperty(t *testing.T) {
	rnd := random(t)
	dst, scratch := &model.Columns{}, &model.Columns{}
	for range 3000 {
		type sample struct {
			part      int
			histogram bool
		}
		want := map[int64]sample{}
		var parts []model.Series
		r := model.TimeRange{MinMs: rnd.Int64N(60) - 10, MaxMs: rnd.Int64N(120)}
		withHistograms := rnd.IntN(2) == 0
		for part := range rnd.IntN(6) {
			s := &tailSeries{}
			at := rnd.Int64N(80)
			for range rnd.IntN(20) {
				isHistogram := withHistograms && rnd.IntN(3) == 0
				sampleAt(&s.columns, at, part, isHistogram)
				if r.Contains(at) {
					want[at] = sample{part, isHistogram}
				}
				at += 1 + rnd.Int64N(3)
			}
			parts = append(parts, s)
		}
		dst.Reset()
		require.NoError(t, decode(dst, scratch, parts, r, (*querier)(nil).excuse))
		require.Len(t, dst.V, dst.Len())
		require.True(t, slices.IsSorted(dst.T))
		require.Equal(t, len(want), dst.Len())
		for i, at := range dst.T {
			w, ok := want[at]
			require.True(t, ok)
			var one model.Columns
			sampleAt(&one, at, w.part, w.histogram)
			if w.histogram {
				require.Equal(t, one.H[0], dst.H[i])
			} else {
				require.True(t, dst.H == nil || dst.H[i] == nil)
				require.Equal(t, one.V[0], dst.V[i])
			}
		}
		if dst.H != nil {
			require.Len(t, dst.H, dst.Len())
		}
	}
}

// TestMergerProperty merges random sorted lists of series and compares with a map.
func TestMergerProperty(t *testing.T) {
	rnd := random(t)
	for range 500 {
		want := map[string][]model.Series{}
		var answers []*answer
		for range rnd.IntN(7) {
			sel := &model.Selection{}
			for n := range 30 {
				if rnd.IntN(3) == 0 {
					s := &tailSeries{labels: labels.FromStrings("n", fmt.Sprintf("%02d", n))}
					sel.Series = append(sel.Series, s)
					want[s.labels.String()] = append(want[s.labels.String()], s)
				}
			}
			answers = append(answers, &answer{selection: sel})
		}
		answers = append(answers, &answer{values: []string{"no selection"}})
		m := newMerger(answers)
		last := labels.EmptyLabels()
		for ls, parts := m.next(); parts != nil; ls, parts = m.next() {
			require.Negative(t, labels.Compare(last, ls))
			last = ls
			require.Equal(t, len(want[ls.String()]), len(parts))
			for i, p := range parts {
				require.Same(t, want[ls.String()][i], p, "priority order")
			}
			delete(want, ls.String())
		}
		require.Empty(t, want)
	}
}

// TestSeekProperty walks random series by Next and Seek and compares with a linear walk.
func TestSeekProperty(t *testing.T) {
	rnd := random(t)
	var it chunkenc.Iterator
	for range 2000 {
		s := &tailSeries{}
		at := int64(0)
		for range rnd.IntN(50) {
			at += 1 + rnd.Int64N(10)
			s.columns.Append(at, float64(at))
		}
		it = (&series{parts: []model.Series{s}, r: model.TimeRange{MaxMs: 1 << 40}}).Iterator(it)
		pos, n := -1, s.columns.Len()
		for range 20 {
			var got chunkenc.ValueType
			if rnd.IntN(2) == 0 {
				got = it.Next()
				pos = min(pos+1, n)
			} else {
				to := rnd.Int64N(400) - 5
				got = it.Seek(to)
				for pos = max(pos, 0); pos < n && s.columns.T[pos] < to; pos++ {
				}
			}
			if pos == n {
				require.Equal(t, chunkenc.ValNone, got)
				continue
			}
			require.Equal(t, chunkenc.ValFloat, got)
			at, v := it.At()
			require.Equal(t, s.columns.T[pos], at)
			require.Equal(t, s.columns.T[pos], it.AtT())
			require.Equal(t, s.columns.V[pos], v)
		}
		require.NoError(t, it.Err())
	}
}

func marshal(t *testing.T, p prompb.Histogram) []byte {
	b, err := p.Marshal()
	require.NoError(t, err)
	return b
}

func TestHistograms(t *testing.T) {
	whole, float := tsdbutil.GenerateTestHistogram(3), tsdbutil.GenerateTestFloatHistogram(5)
	s := &tailSeries{labels: metric("h")}
	s.columns.Append(1, 1)
	s.columns.AppendHistogram(2, marshal(t, prompb.FromIntHistogram(2, whole)))
	s.columns.AppendHistogram(3, marshal(t, prompb.FromFloatHistogram(3, float)))
	s.columns.AppendHistogram(4, []byte{0xff})
	it := (&series{labels: s.labels, parts: []model.Series{s}, r: model.TimeRange{MaxMs: 10}}).Iterator(nil)
	require.Equal(t, chunkenc.ValFloat, it.Next())
	require.Equal(t, chunkenc.ValHistogram, it.Next())
	for _, dst := range []*histogram.Histogram{nil, {}} {
		at, h := it.AtHistogram(dst)
		require.Equal(t, int64(2), at)
		require.True(t, whole.Equals(h))
		h.PositiveBuckets[0], h.PositiveSpans[0].Length = 99, 99 // must not reach the next caller
	}
	for _, dst := range []*histogram.FloatHistogram{nil, {}} {
		_, h := it.AtFloatHistogram(dst)
		require.True(t, whole.ToFloat(nil).Equals(h))
		h.PositiveBuckets[0], h.NegativeSpans[0].Offset = 99, 99
	}
	require.Equal(t, chunkenc.ValFloatHistogram, it.Next())
	for _, dst := range []*histogram.FloatHistogram{nil, {}} {
		at, h := it.AtFloatHistogram(dst)
		require.Equal(t, int64(3), at)
		require.True(t, float.Equals(h))
		h.PositiveBuckets[0], h.PositiveSpans[0].Length = 99, 99
	}
	require.Equal(t, chunkenc.ValNone, it.Next())
	require.ErrorIs(t, it.Err(), model.ErrCorrupt)
	require.ErrorContains(t, it.Err(), `{__name__="h"}`)
}

type brokenSeries struct{ tailSeries }

func (brokenSeries) Samples(*model.Columns, model.TimeRange) error {
	return fmt.Errorf("page 3: %w", model.ErrCorrupt)
}

func TestDecodeError(t *testing.T) {
	it := (&series{labels: metric("m"), parts: []model.Series{&brokenSeries{}}, r: model.TimeRange{MaxMs: 10}}).Iterator(nil)
	require.Equal(t, chunkenc.ValNone, it.Seek(0))
	require.Equal(t, chunkenc.ValNone, it.Next())
	require.True(t, errors.Is(it.Err(), model.ErrCorrupt))
}
