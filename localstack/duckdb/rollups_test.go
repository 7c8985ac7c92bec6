package duckdb

import (
	"bytes"
	"database/sql"
	"fmt"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// rollupView is the view of docs/sql.md, of the files %s.
const rollupView = `CREATE VIEW rollups AS SELECT metric, labels, ts, count,
  CASE sum_scale WHEN -3 THEN count * "last" WHEN -2 THEN NULL WHEN -1 THEN sum_value ELSE sum_scaled / pow(10, sum_scale) END AS sum,
  CASE min_scale WHEN -2 THEN NULL WHEN -1 THEN min_value ELSE min_scaled / pow(10, min_scale) END AS min,
  CASE max_scale WHEN -3 THEN "last" WHEN -2 THEN NULL WHEN -1 THEN max_value ELSE max_scaled / pow(10, max_scale) END AS max,
  "last",
  CASE increase_scale WHEN -3 THEN "last" - lag("last") OVER (PARTITION BY metric, labels ORDER BY ts)
    WHEN -2 THEN NULL WHEN -1 THEN increase_value ELSE increase_scaled / pow(10, increase_scale) END AS increase
FROM (SELECT *, CASE last_scale WHEN -2 THEN NULL WHEN -1 THEN last_value ELSE last_scaled / pow(10, last_scale) END AS "last" FROM read_parquet(%s))`

// rollups are windows of counters with resets, gauges, constants, doubles and histograms.
func rollups(seed int64) (in []blocks.BuildSeries) {
	r := rand.New(rand.NewSource(seed))
	for kind, name := range []string{"constant", "counter", "double", "gauge", "histogram"} {
		for host := range 20 {
			x := &model.Rollup{}
			last := float64(r.Intn(1000))
			for at := day.Range().MinMs; ; {
				v := [model.Aggregates]float64{model.Count: float64(1 + r.Intn(20)), model.Last: last, model.Min: last, model.Max: last}
				var h []byte
				switch kind {
				case 0:
					v[model.Sum] = v[model.Count] * last
				case 1:
					if v[model.Last] += float64(r.Intn(100)); r.Intn(20) == 0 {
						v[model.Last] = 3
					}
					v[model.Max], v[model.Increase], v[model.Sum] = max(last, v[model.Last]), max(v[model.Last]-last, 3), float64(r.Intn(10000))
				case 2:
					for a := model.Sum; a < model.Aggregates; a++ {
						v[a] = r.NormFloat64()
					}
				case 3:
					v[model.Last] = float64(r.Intn(10000)) / 100
					v[model.Min], v[model.Max], v[model.Sum], v[model.Increase] = v[model.Last]-0.25, v[model.Last]+1.5, v[model.Last]*19, float64(r.Intn(100))/8
				case 4:
					if r.Intn(2) == 0 {
						v, h = [model.Aggregates]float64{model.Count: 5}, nativeHistogram(at, 7)
					}
				}
				last = v[model.Last]
				x.Append(at, &v, h)
				next := model.WindowEnd(min(at+1, day.Range().MaxMs), 300_000)
				if next == at {
					break
				}
				at = next
			}
			in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", name, "host", string(rune('a'+host))), Rollup: x})
		}
	}
	return in
}

// TestRollups reads a file of rollups through the view and compares every window with what was written, to the bit.
func TestRollups(t *testing.T) {
	in := rollups(1)
	var b bytes.Buffer
	_, err := blocks.Build(t.Context(), &blocks.Params{Tenant: "t", Day: day, ID: "x", Format: blocks.Rollup5m}, each(in), &b)
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "x.5m.parquet")
	require.NoError(t, os.WriteFile(name, b.Bytes(), 0o644))
	db, err := sql.Open("duckdb", "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	for _, q := range []string{"SET TimeZone = 'UTC'", fmt.Sprintf(rollupView, "['"+name+"']")} {
		_, err = db.ExecContext(t.Context(), q)
		require.NoError(t, err)
	}
	rows, err := db.QueryContext(t.Context(), `SELECT metric, labels->>'host', ts, count, sum, min, max, "last", increase FROM rollups ORDER BY 1, 2, 3`)
	require.NoError(t, err)
	defer rows.Close()
	for _, s := range in {
		for i, at := range s.Rollup.T {
			require.True(t, rows.Next())
			var metric, host string
			var ts time.Time
			var count int64
			var v [model.Aggregates]sql.NullFloat64
			require.NoError(t, rows.Scan(&metric, &host, &ts, &count, &v[model.Sum], &v[model.Min], &v[model.Max], &v[model.Last], &v[model.Increase]))
			require.Equal(t, []any{s.Labels.Get("__name__"), s.Labels.Get("host"), at}, []any{metric, host, ts.UnixMilli()})
			require.EqualValues(t, s.Rollup.V[model.Count][i], count)
			for a := model.Sum; a < model.Aggregates; a++ {
				if s.Rollup.H != nil && s.Rollup.H[i] != nil {
					require.False(t, v[a].Valid)
					continue
				}
				require.True(t, v[a].Valid)
				require.Equal(t, math.Float64bits(s.Rollup.V[a][i]), math.Float64bits(v[a].Float64), "%s of %s at %s", a, s.Labels, ts)
			}
		}
	}
	require.False(t, rows.Next())
	require.NoError(t, rows.Err())

	var hours int
	var rate float64
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*), max(rate) FROM (
		SELECT time_bucket(INTERVAL 1 HOUR, ts) AS hour, sum(increase) / 3600 AS rate FROM rollups WHERE metric = 'counter' GROUP BY hour)`).Scan(&hours, &rate))
	require.Equal(t, 24, hours)
	require.Positive(t, rate)
}
