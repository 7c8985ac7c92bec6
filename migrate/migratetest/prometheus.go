package migratetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate/promchunk"
	"github.com/varvedb/varve/model"
)

// Scrape appends a sample to each of some series, stale markers and a native histogram among them; names in capitals sort before the metric name.
func (w *World) Scrape(app storage.Appender, at int64) {
	for i := range 7 {
		ls := labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "A", fmt.Sprint(w.Rand.IntN(2)), "i", fmt.Sprint(i))
		v := float64(w.Rand.IntN(1000))
		if w.Rand.IntN(9) == 0 {
			v = math.Float64frombits(0x7ff0000000000002)
		}
		_, err := app.Append(0, ls, at, v)
		require.NoError(w.T, err)
	}
	var h *histogram.Histogram
	var fh *histogram.FloatHistogram
	if w.Rand.IntN(2) == 0 {
		h = tsdbutil.GenerateTestHistogram(w.Rand.Int64N(100))
	} else {
		fh = tsdbutil.GenerateTestFloatHistogram(w.Rand.Int64N(100))
	}
	_, err := app.AppendHistogram(0, labels.FromStrings("__name__", "native"), at, h, fh)
	require.NoError(w.T, err)
}

// Contents are all samples of a database, by Prometheus' own querier, in the form of Put. More are labels, names and values in turn, that each series gets besides.
func Contents(t *testing.T, db *tsdb.DB, more ...string) map[string]string {
	q, err := db.Querier(math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	defer func() { require.NoError(t, q.Close()) }()
	out := map[string]string{}
	set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "x", ".*"))
	for set.Next() {
		c := &model.Columns{}
		it := set.At().Iterator(nil)
		for typ := it.Next(); typ != chunkenc.ValNone; typ = it.Next() {
			if typ == chunkenc.ValFloat {
				c.Append(it.At())
				continue
			}
			h, err := promchunk.Sample(it, typ, 0)
			require.NoError(t, err)
			c.AppendHistogram(it.AtT(), h)
		}
		require.NoError(t, it.Err())
		b := labels.NewBuilder(set.At().Labels())
		for i := 0; i < len(more); i += 2 {
			b.Set(more[i], more[i+1])
		}
		Put(out, b.Labels(), c)
	}
	require.NoError(t, set.Err())
	return out
}

// ScrapedDay is a database with that many scrapes of 1,000 series, counters, gauges and constants, 15 s apart from the beginning of FirstDay: 5,760 are a day.
func ScrapedDay(b *testing.B, dir string, scrapes int64) *tsdb.DB {
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	require.NoError(b, err)
	db.DisableCompactions()
	series := make([]labels.Labels, 1000)
	for i := range series {
		series[i] = labels.FromStrings("__name__", fmt.Sprintf("metric_%d_total", i%20), "instance", fmt.Sprintf("10.0.0.%d:9100", i/20), "job", "node")
	}
	rng, values := rand.New(rand.NewPCG(1, 1)), make([]float64, len(series))
	for n := range scrapes {
		app := db.Appender(b.Context())
		for i, ls := range series {
			switch i % 4 {
			case 0: // a gauge
				values[i] = float64(rng.IntN(10_000)) / 100
			case 1, 2: // a counter
				values[i] += float64(rng.IntN(100))
			}
			_, err := app.Append(0, ls, FirstDay.Range().MinMs+n*15_000, values[i])
			require.NoError(b, err)
		}
		require.NoError(b, app.Commit())
	}
	return db
}

// DayBlock makes a directory that has a ScrapedDay as one block, and the first scrape of the next day in no other, so that the day is over.
func DayBlock(b *testing.B) (dir string) {
	dir = b.TempDir()
	db := ScrapedDay(b, dir, 5761)
	at := FirstDay.Range().MinMs
	require.NoError(b, db.CompactHead(tsdb.NewRangeHead(db.Head(), at, at+model.MsPerDay)))
	require.NoError(b, db.Close())
	require.NoError(b, os.RemoveAll(dir+"/wal"))
	return dir
}
