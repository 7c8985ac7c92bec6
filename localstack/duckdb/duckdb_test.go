package duckdb

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

const day = model.Day(20000)

// view is the line of docs/sql.md, of the files %s.
const view = `CREATE VIEW samples AS SELECT metric, labels, ts, CASE WHEN scale < 0 THEN value ELSE scaled / pow(10, scale) END AS value FROM read_parquet(%s) WHERE kind < 2`

func open(t *testing.T, files ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	list := "['" + strings.Join(files, "','") + "']"
	for _, q := range []string{"SET TimeZone = 'UTC'", fmt.Sprintf(view, list), "CREATE VIEW files AS FROM read_parquet(" + list + ")"} {
		_, err = db.ExecContext(t.Context(), q)
		require.NoError(t, err, q)
	}
	return db
}

// build writes a block of the series and returns the name of its file.
func build(t *testing.T, in []blocks.BuildSeries) string {
	t.Helper()
	var b bytes.Buffer
	m, err := blocks.Build(context.Background(), &blocks.Params{Tenant: "t", Day: day, Writer: "w", Generation: uint64(len(in)), Format: blocks.Parquet}, each(in), &b)
	require.NoError(t, err)
	require.NoError(t, blocks.Verify(b.Bytes()))
	name := filepath.Join(t.TempDir(), filepath.FromSlash(blocks.Key(m)))
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, b.Bytes(), 0o644))
	return name
}

func each(in []blocks.BuildSeries) iter.Seq2[blocks.BuildSeries, error] {
	return func(yield func(blocks.BuildSeries, error) bool) {
		for i, s := range in {
			if i > 0 && !index.Less(in[i-1].Labels, s.Labels) {
				panic("series are not in order")
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// series makes metrics of every kind of value over the whole day.
func series(seed int64, metrics, hosts, samples int) (in []blocks.BuildSeries) {
	r := rand.New(rand.NewSource(seed))
	for m := range metrics {
		for h := range hosts {
			c := &model.Columns{}
			v := float64(r.Intn(1000))
			for i := range samples {
				at := day.Range().MinMs + int64(i)*(model.MsPerDay/int64(samples)) + int64(r.Intn(20))
				switch m % 6 {
				case 0:
					v += float64(r.Intn(100))
				case 1:
					v = math.Round(v*100+float64(r.Intn(2001)-1000)) / 100
				case 2:
					v = r.NormFloat64()
				case 3:
					v = math.Float64frombits(r.Uint64())
				case 4:
					v = []float64{0, math.Copysign(0, -1), math.Inf(1), 0.1, 5e-324, 1e-15, 123456.789, math.Float64frombits(0x7ff0000000000002)}[r.Intn(8)]
				case 5:
					if i%3 == 0 {
						c.AppendHistogram(at, nativeHistogram(at, uint64(i)))
						continue
					}
					if i%3 == 1 {
						c.AppendHistogram(at, model.FloatWithStart(at-1000, float64(i)))
						continue
					}
					v = float64(i)
				}
				c.Append(at, v)
			}
			ls := labels.FromStrings("__name__", fmt.Sprintf("metric_%02d", m), "host", fmt.Sprintf("host-%04d", h), "quote", "a\"b\\c\nd", "ü", "ö")
			in = append(in, blocks.BuildSeries{Labels: ls, Columns: c})
		}
	}
	return in
}

func nativeHistogram(at int64, n uint64) []byte {
	h := prompb.FromIntHistogram(at, &histogram.Histogram{Schema: 2, Count: n, Sum: float64(n) / 3})
	b, err := h.Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

// want are the floats of series by metric and labels, then by time.
func want(in []blocks.BuildSeries) (out map[string]map[int64]float64, n int) {
	out = map[string]map[int64]float64{}
	for _, s := range in {
		values := map[int64]float64{}
		for i, at := range s.Columns.T {
			v := s.Columns.V[i]
			if s.Columns.H != nil && s.Columns.H[i] != nil {
				_, f, h, err := model.SplitStart(s.Columns.H[i])
				if err != nil || h != nil {
					continue
				}
				v = f
			}
			values[at] = v
			n++
		}
		out[s.Labels.String()] = values
	}
	return out, n
}

// TestRowByRow reads two blocks through the view and compares every row with what was written, to the bit.
func TestRowByRow(t *testing.T) {
	first, second := series(1, 12, 6, 700), series(2, 3, 2, 30_000)
	for i := range second {
		second[i].Labels = labels.NewBuilder(second[i].Labels).Set("__name__", "other_"+second[i].Labels.Get("__name__")).Labels()
	}
	db := open(t, build(t, first), build(t, second))
	values, n := want(append(first, second...))
	rows, err := db.QueryContext(t.Context(), "SELECT metric, labels, ts, value FROM samples")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var metric, text string
		var ts time.Time
		var v float64
		require.NoError(t, rows.Scan(&metric, &text, &ts, &v))
		var ls map[string]string
		require.NoError(t, json.Unmarshal([]byte(text), &ls))
		ls["__name__"] = metric
		key := labels.FromMap(ls).String()
		w, ok := values[key][ts.UnixMilli()]
		if !ok || math.Float64bits(w) != math.Float64bits(v) {
			t.Fatalf("%s at %s is %x, want %x (%v)", key, ts, math.Float64bits(v), math.Float64bits(w), ok)
		}
		delete(values[key], ts.UnixMilli())
		n--
	}
	require.NoError(t, rows.Err())
	require.Zero(t, n, "rows missing")
}

// TestHistograms reads the columns of native histograms.
func TestHistograms(t *testing.T) {
	in := series(1, 6, 2, 300)
	db := open(t, build(t, in))
	var n int
	var count, sum float64
	var schema int
	require.NoError(t, db.QueryRowContext(t.Context(),
		"SELECT count(*), sum(count), sum(sum), max(schema) FROM files WHERE kind IN (2, 3) AND octet_length(histogram) > 0").Scan(&n, &count, &sum, &schema))
	require.Equal(t, 200, n)
	require.Equal(t, 2, schema)
	require.InDelta(t, 2*(99*100/2)*3, count, 1e-6)
	require.InDelta(t, count/3, sum, 1e-6)
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM files WHERE kind = 1 AND ts - start = INTERVAL 1 SECOND").Scan(&n))
	require.Equal(t, 200, n)
}

// TestQuestions are what people ask: filters on metric, time and a label, and groups.
func TestQuestions(t *testing.T) {
	in := series(1, 2, 50, 5760)
	db := open(t, build(t, in))
	sums := map[string]float64{}
	noon := day.Range().MinMs + model.MsPerDay/2
	for _, s := range in[:50] {
		for i, at := range s.Columns.T {
			if at >= noon {
				sums[s.Labels.Get("host")] += s.Columns.V[i]
			}
		}
	}
	rows, err := db.QueryContext(t.Context(), `SELECT labels->>'host' AS host, sum(value) FROM samples
		WHERE metric = 'metric_00' AND ts >= make_timestamptz(?::BIGINT * 1000) GROUP BY host`, noon)
	require.NoError(t, err)
	defer rows.Close()
	got := map[string]float64{}
	for rows.Next() {
		var host string
		var sum float64
		require.NoError(t, rows.Scan(&host, &sum))
		got[host] = sum
	}
	require.NoError(t, rows.Err())
	require.Equal(t, sums, got) // sums of integers are exact in any order
	var groups int
	require.NoError(t, db.QueryRowContext(t.Context(),
		"SELECT count(DISTINCT row_group_id) FROM parquet_metadata(?)", build(t, in)).Scan(&groups))
	require.Equal(t, 6, groups, "one range of two metrics of 48,000 rows a window")
}
