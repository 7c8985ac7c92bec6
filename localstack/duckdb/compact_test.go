package duckdb

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/dir"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// metricsOfDay, hosts and rowsOfSeries make a day that is read whole in some ten ms.
const metricsOfDay, hosts, rowsOfSeries = 6, 3, 120

// TestWhileCompacting asks a day by SQL, through the list that varve ls prints, and by PromQL, and compares row by row; before each call that a
// worker makes at the bucket while it compacts the day, and while it merges late samples into it. Who holds an older list goes on reading
// the same rows until its files have been retired for an hour.
func TestWhileCompacting(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	w := newWorld(t, rand.New(rand.NewSource(seed)))
	w.flush(4, 0)
	none, _, err := w.list()
	require.ErrorContains(t, err, "there is no parquet block", none)

	first := w.promQL()
	w.compact(func() {
		files, _, err := w.list()
		if err == nil {
			require.Equal(t, first, w.sql(files), "the day is compacted")
			return
		}
		require.ErrorContains(t, err, "there is no parquet block", "the day is parquet as a whole or not at all")
	})
	held, notes, err := w.list()
	require.NoError(t, err)
	require.Empty(t, notes)
	require.Greater(t, strings.Count(held, ".parquet"), 1, "a day of several files")
	require.Equal(t, first, w.sql(held))
	require.Equal(t, first, w.promQL())

	// Late samples are in hot blocks, which SQL does not see and ls counts, until they are part of the day.
	w.flush(8, 1)
	second := w.promQL()
	require.NotEqual(t, first, second)
	before, after := 0, 0
	w.compact(func() {
		require.Equal(t, second, w.promQL(), "to PromQL nothing changes")
		files, notes, err := w.list()
		require.NoError(t, err)
		if strings.Contains(notes, "in 8 hot blocks") {
			before++
			require.Equal(t, held, files)
			require.Equal(t, first, w.sql(files))
			return
		}
		after++
		require.Equal(t, second, w.sql(files))
	})
	require.Greater(t, before, 10, "the worker was asked in between")
	files, notes, err := w.list()
	require.NoError(t, err)
	require.Empty(t, notes)
	require.NotEqual(t, held, files)
	require.Equal(t, second, w.sql(files))
	t.Logf("%d rows; read %d times before and %d times after the commit", len(second), before+1, after+1)

	w.later(59 * time.Minute)
	require.Equal(t, first, w.sql(held), "what was replaced can be read for an hour")
	w.later(2 * time.Minute)
	_, err = w.query(held)
	require.ErrorContains(t, err, "No files found", "and no longer")
	require.Equal(t, second, w.sql(files))
}

// world is a day in a directory bucket.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	varve   string // the binary
	url     string
	own     *blob.Bucket
	driver  *faultblob.Driver // the worker's
	catalog *catalog.Store
	nowMs   int64
	gen     uint64
}

func newWorld(t *testing.T, rng *rand.Rand) *world {
	w := &world{t: t, rng: rng, nowMs: day.Range().MaxMs + 10*3_600_000, varve: filepath.Join(t.TempDir(), "varve")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", w.varve, "./cmd/varve")
	build.Dir = filepath.Join("..", "..")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	root := filepath.Join(t.TempDir(), "it's a bucket")
	require.NoError(t, os.Mkdir(root, 0o755))
	w.url = "file://" + filepath.ToSlash(strings.ReplaceAll(root, " ", "%20"))
	d, err := dir.New(vfs.OS{}, root)
	require.NoError(t, err)
	w.own = blob.New(d, nil)
	w.driver = faultblob.Wrap(d)
	w.catalog = catalog.New(w.own, nil, catalog.Components{Now: w.now})
	t.Cleanup(func() { require.NoError(t, w.own.Close()) })
	return w
}

func (w *world) now() time.Time { return time.UnixMilli(w.nowMs) }

// flush adds blocks. Each has a part of the samples of every series; what is late overwrites some of them and has series of its own.
func (w *world) flush(n int, late int64) {
	all := series(w.rng.Int63(), metricsOfDay, hosts+int(late), rowsOfSeries)
	for i := range n {
		var part []blocks.BuildSeries
		for _, s := range all {
			c := &model.Columns{}
			for j, at := range s.Columns.T {
				if j*n/len(s.Columns.T) != i {
					continue
				}
				if s.Columns.H != nil && s.Columns.H[j] != nil {
					c.AppendHistogram(at, s.Columns.H[j])
				} else {
					c.Append(at, s.Columns.V[j])
				}
			}
			part = append(part, blocks.BuildSeries{Labels: s.Labels, Columns: c})
		}
		w.gen++
		var b bytes.Buffer
		p := &blocks.Params{Tenant: "default", Day: day, Writer: "w", Generation: w.gen, CreatedMs: w.nowMs}
		m, err := blocks.Build(w.t.Context(), p, each(part), &b)
		require.NoError(w.t, err)
		_, err = w.own.PutIfAbsent(w.t.Context(), blocks.Key(m), b.Bytes())
		require.NoError(w.t, err)
		_, err = w.catalog.Commit(w.t.Context(), "default", day, catalog.Add{Writer: "w", Generation: w.gen, Meta: m})
		require.NoError(w.t, err)
	}
}

// worker looks at the bucket through calls that hook sees first.
func (w *world) worker(hook func()) lifecycle.Report {
	b := blob.New(w.driver, &blob.Options{PartBytes: 16 << 10})
	w.driver.SetHook(func(c faultblob.Call) faultblob.Action {
		if hook != nil && !strings.HasPrefix(c.Key, "w/") {
			hook()
		}
		return faultblob.Action{}
	})
	l, err := lifecycle.New(&lifecycle.Config{
		Sequential: true, Compact: lifecycle.CompactSettings{Settle: -1, MinOutputBytes: 1},
	}, lifecycle.Components{Bucket: b, Catalog: catalog.New(b, nil, catalog.Components{Now: w.now}), Now: w.now})
	require.NoError(w.t, err)
	r, err := l.Once(w.t.Context())
	require.NoError(w.t, err)
	require.Empty(w.t, r.Failures)
	return r
}

func (w *world) compact(hook func()) {
	w.t.Helper()
	require.Equal(w.t, 1, w.worker(hook).Compactions)
}

// later lets time pass and a worker look.
func (w *world) later(d time.Duration) {
	w.nowMs += d.Milliseconds()
	w.worker(nil)
}

// run runs varve.
func (w *world) run(args ...string) (out, notes string, err error) {
	var o, e bytes.Buffer
	cmd := exec.CommandContext(w.t.Context(), w.varve, append(args, "--bucket", w.url)...)
	cmd.Stdout, cmd.Stderr = &o, &e
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("%w: %s", err, e.String())
	}
	return o.String(), e.String(), err
}

// list returns what varve ls prints for SQL.
func (w *world) list() (files, notes string, err error) { return w.run("ls", "--live", "--sql") }

// row is a float of a series.
type row struct {
	series string
	ts     int64
	value  string
}

func sorted(rows []row) []row {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.series, b.series), cmp.Compare(a.ts, b.ts)) })
	return rows
}

// number is the shortest text of a float, from which it can be had again; NaNs are one.
func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// sql reads all rows of the files.
func (w *world) sql(files string) []row {
	w.t.Helper()
	rows, err := w.query(files)
	require.NoError(w.t, err)
	return rows
}

// query reads all rows of the files through the view. Stale markers, which PromQL's range selectors leave out, are left out.
func (w *world) query(files string) (out []row, err error) {
	db, err := sql.Open("duckdb", "")
	require.NoError(w.t, err)
	defer db.Close()
	for _, q := range []string{"SET TimeZone = 'UTC'", strings.Replace(view, "read_parquet(%s)", strings.TrimSpace(files), 1)} {
		if _, err = db.ExecContext(w.t.Context(), q); err != nil {
			return nil, err
		}
	}
	return scan(w.t.Context(), db)
}

func scan(ctx context.Context, db *sql.DB) (out []row, err error) {
	rows, err := db.QueryContext(ctx, "SELECT metric, labels, epoch_ms(ts), value FROM samples")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var metric, text string
		var r row
		var v float64
		if err := rows.Scan(&metric, &text, &r.ts, &v); err != nil {
			return nil, err
		}
		var ls map[string]string
		if err := json.Unmarshal([]byte(text), &ls); err != nil {
			return nil, err
		}
		ls["__name__"] = metric
		if math.Float64bits(v) != value.StaleNaN {
			r.series, r.value = labels.FromMap(ls).String(), number(v)
			out = append(out, r)
		}
	}
	return sorted(out), rows.Err()
}

// promQL reads all floats of the day.
func (w *world) promQL() (out []row) {
	w.t.Helper()
	answer, notes, err := w.run("query", "--json", "--time", fmt.Sprintf("%.3f", float64(day.Range().MaxMs)/1000), `{__name__=~"metric_.+"}[1d]`)
	require.NoError(w.t, err, notes)
	var a struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]json.RawMessage
			}
		}
	}
	require.NoError(w.t, json.Unmarshal([]byte(answer), &a))
	for _, s := range a.Data.Result {
		name := labels.FromMap(s.Metric).String()
		for _, pair := range s.Values {
			var seconds float64
			var text string
			require.NoError(w.t, json.Unmarshal(pair[0], &seconds))
			require.NoError(w.t, json.Unmarshal(pair[1], &text))
			v, err := strconv.ParseFloat(text, 64)
			require.NoError(w.t, err)
			out = append(out, row{name, int64(math.Round(seconds * 1000)), number(v)})
		}
	}
	require.NotEmpty(w.t, out)
	return sorted(out)
}
