package export_test

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate/export"
	"github.com/varvedb/varve/model"
)

// TestHints: Prometheus tells where counters of histograms were reset, within chunks and where new ones begin.
func TestHints(t *testing.T) {
	h := &history{}
	whole, float := h.add(labels.FromStrings("__name__", "h", "k", "1")), h.add(labels.FromStrings("__name__", "h", "k", "2"))
	reset := func(i int64) bool { return i%150 == 0 || i == 120 || i == 123 }
	n := int64(0)
	for i := range int64(500) {
		if n++; reset(i) {
			n = 0
		}
		at := start + i*60_000
		whole.AppendHistogram(at, marshal(t, tsdbutil.GenerateTestHistogram(n), at))
		float.AppendHistogram(at, marshalFloat(t, tsdbutil.GenerateTestFloatHistogram(n), at))
	}
	dir := filepath.Join(t.TempDir(), "out")
	newExportWorld(t, h).must(&export.Config{To: "tsdb", Out: dir, ExternalLabels: map[string]string{"cluster": "a"}})
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	block, err := tsdb.OpenBlock(nil, filepath.Join(dir, entries[0].Name()), nil, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, block.Close()) }()
	require.Equal(t, start, block.Meta().MinTime)
	require.Equal(t, start+499*60_000+1, block.Meta().MaxTime)
	require.Equal(t, uint64(1000), block.Meta().Stats.NumHistogramSamples)
	q, err := tsdb.NewBlockChunkQuerier(block, math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	defer func() { require.NoError(t, q.Close()) }()
	set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "h"))
	series := 0
	for set.Next() {
		series++
		it := set.At().Iterator(nil)
		next := int64(0)
		for it.Next() {
			m := it.At()
			require.Equal(t, start+next*60_000, m.MinTime)
			header := m.Chunk.(interface {
				GetCounterResetHeader() chunkenc.CounterResetHeader
			}).GetCounterResetHeader()
			switch {
			case next == 0:
				require.Equal(t, chunkenc.UnknownCounterReset, header)
			case reset(next):
				require.Equal(t, chunkenc.CounterReset, header, next)
			default:
				require.Equal(t, chunkenc.NotCounterReset, header, next)
			}
			n := int64(m.Chunk.NumSamples())
			require.LessOrEqual(t, n, int64(120))
			for i := next + 1; i < next+n; i++ {
				require.False(t, reset(i), "a reset within a chunk")
			}
			next += n
		}
		require.NoError(t, it.Err())
		require.Equal(t, int64(500), next)
	}
	require.Equal(t, 2, series)

	meta, err := os.ReadFile(filepath.Join(dir, entries[0].Name(), "meta.json"))
	require.NoError(t, err)
	require.Contains(t, string(meta), `"thanos": {
		"version": 1,
		"labels": {
			"cluster": "a"
		},
		"downsample": {
			"resolution": 0
		},
		"source": "varve"
	}`)
}

// TestDurations: blocks are even parts of a day.
func TestDurations(t *testing.T) {
	for _, d := range []time.Duration{time.Minute, 5 * time.Hour, 48 * time.Hour, -time.Hour} {
		_, err := newExportWorld(t, small()).run(&export.Config{To: "tsdb", Out: filepath.Join(t.TempDir(), "x"), BlockDuration: d})
		require.ErrorIs(t, err, model.ErrInvalid, d)
	}
}
