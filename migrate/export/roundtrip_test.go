package export_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/export"
	"github.com/varvedb/varve/migrate/lines"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/migrate/prom"
	"github.com/varvedb/varve/model"
)

func everything(labels.Labels, int64, float64, []byte) bool { return true }

// plainOnly is what text can hold.
func plainOnly(ls labels.Labels, _ int64, v float64, h []byte) bool {
	return ls.Get("__name__") != "" && !value.IsStaleNaN(v) && (h == nil || model.IsFloatWithStart(h))
}

// withoutStarts makes plain floats of those with a start.
func withoutStarts(m map[string]string, h *history) map[string]string {
	for _, s := range h.series {
		if s.columns.H == nil {
			continue
		}
		for i, b := range s.columns.H {
			if model.IsFloatWithStart(b) {
				_, v, _, _ := model.SplitStart(b)
				c := &model.Columns{}
				c.Append(s.columns.T[i], v)
				migratetest.Put(m, s.ls, c)
			}
		}
	}
	return m
}

func TestBlocks(t *testing.T) {
	h := newHistory(t)
	for _, duration := range []time.Duration{0, 2 * time.Hour, 24 * time.Hour} {
		w := newExportWorld(t, h)
		dir := filepath.Join(t.TempDir(), "out")
		r := w.must(&export.Config{To: "tsdb", Out: dir, BlockDuration: duration, SortBytes: 1})
		require.Equal(t, map[string]int64{export.LeftStarts: 20}, r.Left)
		want := withoutStarts(h.contents(everything), h)
		require.Equal(t, int64(len(want)), r.Samples)
		require.Equal(t, 3, r.Days)
		if duration == 2*time.Hour {
			require.Greater(t, r.Files, 24)
		} else {
			require.Equal(t, 3, r.Files)
		}
		got := back(t, func(skips *migrate.Skips) migrate.Source {
			s, err := prom.OpenTSDB(dir, skips, nil)
			require.NoError(t, err)
			return s
		}, migrate.NewSkips(true))
		migratetest.Same(t, want, got, duration)
		left, err := filepath.Glob(filepath.Join(dir, "*", "*unsorted*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

func TestOpenMetrics(t *testing.T) {
	h := newHistory(t)
	for _, name := range []string{"out", "out.gz", "out.zst"} {
		w := newExportWorld(t, h)
		path := filepath.Join(t.TempDir(), name)
		r := w.must(&export.Config{To: "openmetrics", Out: path, SortBytes: 1})
		require.Equal(t, int64(5), r.Left[export.LeftStale])
		require.Equal(t, r.Histograms, r.Left[export.LeftHistograms])
		require.Equal(t, int64(30), r.Left[export.LeftNameless])
		got := back(t, func(skips *migrate.Skips) migrate.Source { return lines.NewText([]string{path}, true, skips, nil) }, migrate.NewSkips(true))
		migratetest.Same(t, withoutStarts(h.contents(plainOnly), h), got)
	}
}

func TestJSONLines(t *testing.T) {
	h := newHistory(t)
	w := newExportWorld(t, h)
	path := filepath.Join(t.TempDir(), "out.jsonl.zst")
	r := w.must(&export.Config{To: "jsonl", Out: path})
	require.Equal(t, r.Histograms, r.Left[export.LeftHistograms])
	got := back(t, func(skips *migrate.Skips) migrate.Source { return lines.NewVictoria([]string{path}, skips, nil) }, migrate.NewSkips(true))
	want := withoutStarts(h.contents(func(ls labels.Labels, at int64, v float64, b []byte) bool {
		return plainOnly(ls, at, v, b) || ls.Get("__name__") == "" && !value.IsStaleNaN(v)
	}), h)
	migratetest.Same(t, want, got)
}

// TestTimes: times in seconds that Prometheus reads as the milliseconds that were meant.
func TestTimes(t *testing.T) {
	h := &history{}
	c := h.add(labels.FromStrings("__name__", "a"))
	for i := range int64(5000) {
		c.Append(start+i*997, float64(i))
	}
	old := h.add(labels.FromStrings("__name__", "old"))
	for i := range int64(3000) {
		old.Append(-40*365*model.MsPerDay+i*1001, float64(i))
	}
	w := newExportWorld(t, h)
	path := filepath.Join(t.TempDir(), "out")
	w.must(&export.Config{To: "openmetrics", Out: path})
	got := back(t, func(skips *migrate.Skips) migrate.Source { return lines.NewText([]string{path}, true, skips, nil) }, migrate.NewSkips(true))
	migratetest.Same(t, h.contents(everything), got)
}

// TestNaN: payloads are lost in text, which is counted.
func TestNaN(t *testing.T) {
	h := &history{}
	h.add(labels.FromStrings("__name__", "a")).Append(start, math.Float64frombits(value.NormalNaN+7))
	w := newExportWorld(t, h)
	r := w.must(&export.Config{To: "jsonl", Out: "-"})
	require.Equal(t, map[string]int64{export.LeftNaN: 1}, r.Left)
	require.Equal(t, "{\"metric\":{\"__name__\":\"a\"},\"values\":[\"NaN\"],\"timestamps\":["+"1772323200000]}\n", w.out.String())
}

// exampleHistory has exemplars and metadata.
func exampleHistory() (*history, map[string]model.Metadata) {
	h := &history{}
	b := labels.NewScratchBuilder(4)
	for i, name := range []string{"lat_seconds_bucket", "lat_seconds_count", "lat_seconds_sum", "lat_seconds_extra", "reqs_total", "temp"} {
		ls := labels.FromStrings("__name__", name, "le", "1")
		c := h.add(ls)
		for day := range int64(2) {
			for k := range int64(2) {
				c.Append(start+day*model.MsPerDay+k*15_000, float64(i))
			}
		}
		b.Reset()
		model.ExemplarSeries(&b, ls)
		b.Sort()
		row := model.AppendExemplar(model.BeginExemplars(nil), 0.5, 1)
		row = model.AppendText(model.AppendText(row, "trace"), "x\"y")
		h.add(b.Labels()).AppendHistogram(start+14_123, row)
	}
	h.add(model.MetadataSeries("temp")).AppendHistogram(start, model.AppendMetadata(nil, 2, "", ""))
	h.sort()
	return h, map[string]model.Metadata{
		"lat_seconds": {Type: "histogram", Unit: "seconds", Help: "How \"long\"\nit took."},
		"reqs_total":  {Type: "counter", Help: "Requests."},
		"temp":        {Type: "gauge"},
	}
}

// TestFamilies: families stand together, with what is said of them and exemplars where they may be.
func TestFamilies(t *testing.T) {
	h, metadata := exampleHistory()
	w := newExportWorld(t, h)
	w.c.Metadata = func(context.Context) (map[string]model.Metadata, error) { return metadata, nil }
	r := w.must(&export.Config{To: "openmetrics", Out: "-"})
	require.Equal(t, strings.TrimLeft(`
# TYPE lat_seconds histogram
# UNIT lat_seconds seconds
# HELP lat_seconds How \"long\"\nit took.
lat_seconds_bucket{le="1"} 0 1772323200
lat_seconds_bucket{le="1"} 0 1772323215 # {trace="x\"y"} 0.5 1772323214.123
lat_seconds_bucket{le="1"} 0 1772409600
lat_seconds_bucket{le="1"} 0 1772409615
lat_seconds_count{le="1"} 1 1772323200
lat_seconds_count{le="1"} 1 1772323215
lat_seconds_count{le="1"} 1 1772409600
lat_seconds_count{le="1"} 1 1772409615
lat_seconds_sum{le="1"} 2 1772323200
lat_seconds_sum{le="1"} 2 1772323215
lat_seconds_sum{le="1"} 2 1772409600
lat_seconds_sum{le="1"} 2 1772409615
# TYPE lat_seconds_extra unknown
lat_seconds_extra{le="1"} 3 1772323200
lat_seconds_extra{le="1"} 3 1772323215
lat_seconds_extra{le="1"} 3 1772409600
lat_seconds_extra{le="1"} 3 1772409615
# TYPE reqs counter
# HELP reqs Requests.
reqs_total{le="1"} 4 1772323200
reqs_total{le="1"} 4 1772323215 # {trace="x\"y"} 0.5 1772323214.123
reqs_total{le="1"} 4 1772409600
reqs_total{le="1"} 4 1772409615
# TYPE temp gauge
temp{le="1"} 5 1772323200
temp{le="1"} 5 1772323215
temp{le="1"} 5 1772409600
temp{le="1"} 5 1772409615
# EOF
`, "\n"), w.out.String())
	require.Equal(t, map[string]int64{export.LeftExemplars: 4}, r.Left)

	r = newExportWorld(t, h).must(&export.Config{To: "jsonl", Out: filepath.Join(t.TempDir(), "x")})
	require.Equal(t, map[string]int64{export.LeftExemplars: 6, export.LeftMetadata: 1}, r.Left)
}

// TestSelection: range, matchers and relabelling are those of the selection; a dry run writes nothing.
func TestSelection(t *testing.T) {
	w := newExportWorld(t, newHistory(t))
	w.cfg.Range = &model.TimeRange{MinMs: start + 1000, MaxMs: start + model.MsPerDay}
	w.cfg.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m2")}
	dir := t.TempDir()
	r := w.must(&export.Config{To: "jsonl", Out: filepath.Join(dir, "x"), DryRun: true})
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
	second := w.must(&export.Config{To: "jsonl", Out: filepath.Join(dir, "x")})
	require.Equal(t, r.Samples, second.Samples)
	require.Equal(t, 1, second.Files)
	data, err := os.ReadFile(filepath.Join(dir, "x"))
	require.NoError(t, err)
	require.Equal(t, int64(len(data)), second.Bytes)
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		require.Contains(t, line, `"m2"`)
	}
	require.LessOrEqual(t, second.MaxMs, w.cfg.Range.MaxMs)
}
