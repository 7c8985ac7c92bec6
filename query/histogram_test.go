package query

import (
	"bytes"
	"context"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// counterHistogram is one of a bucket with count observations, as a sender has it who says hint.
func counterHistogram(t *testing.T, at int64, count uint64, hint histogram.CounterResetHint) []byte {
	p := prompb.FromIntHistogram(at, &histogram.Histogram{
		CounterResetHint: hint, Count: count, Sum: float64(count), ZeroThreshold: 0.001,
		PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{int64(count)},
	})
	b, err := p.Marshal()
	require.NoError(t, err)
	return b
}

// TestHintsOfSenders: what a sender says of resets holds of the sample that it sent before, which may be deleted, or in another block, or behind one that came late. Neighbours
// decide, but for a reset that a sender saw.
func TestHintsOfSenders(t *testing.T) {
	const unknown, no, yes = histogram.UnknownCounterReset, histogram.NotCounterReset, histogram.CounterReset
	w := newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
	w.sources = []model.Source{&fakeSource{writer: "w1", generations: map[uint64]data{}}}
	type sample struct {
		at    int64
		count uint64
		hint  histogram.CounterResetHint
	}
	block := func(generation uint64, samples ...sample) {
		var c model.Columns
		for _, s := range samples {
			c.AppendHistogram(t0+s.at, counterHistogram(t, t0+s.at, s.count, s.hint))
		}
		var b bytes.Buffer
		p := &blocks.Params{Tenant: testTenant, Day: day0, Writer: "w1", Generation: generation}
		m, err := blocks.Build(context.Background(), p, func(yield func(blocks.BuildSeries, error) bool) {
			yield(blocks.BuildSeries{Labels: metric("h"), Columns: &c}, nil)
		}, &b)
		require.NoError(t, err)
		_, err = w.bucket.Put(context.Background(), blocks.Key(m), b.Bytes())
		require.NoError(t, err)
		w.commit(m)
	}
	block(1, sample{10, 20, unknown}, sample{20, 5, unknown}, sample{30, 7, no}, sample{40, 8, no}, sample{50, 9, yes})
	block(2, sample{60, 12, no}, sample{70, 14, no})
	hints := func(from int64) (all []histogram.CounterResetHint) {
		querier, err := w.queryable().Querier(t0+from, t0+100)
		require.NoError(t, err)
		defer querier.Close()
		set := querier.Select(w.ctx(), true, nil, everything)
		for set.Next() {
			it := set.At().Iterator(nil)
			for it.Next() == chunkenc.ValHistogram {
				_, h := it.AtHistogram(nil)
				all = append(all, h.CounterResetHint)
			}
			require.NoError(t, it.Err())
		}
		require.NoError(t, set.Err())
		return all
	}
	require.Equal(t, []histogram.CounterResetHint{unknown, unknown, no, no, yes, no, no}, hints(0))
	w.tombstone("x", day0, model.TimeRange{MinMs: t0 + 20, MaxMs: t0 + 20}, "{}")
	require.Equal(t, []histogram.CounterResetHint{unknown, unknown, no, yes, no, no}, hints(0), "7 after 20 is a reset, though there was none after 5")
	block(3, sample{65, 30, unknown})
	require.Equal(t, []histogram.CounterResetHint{unknown, unknown, no, yes, no, no, unknown}, hints(0), "one of another sender came between")
}
