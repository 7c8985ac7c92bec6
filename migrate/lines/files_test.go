package lines

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/migrate/vmline"
	"github.com/varvedb/varve/model"
)

// write makes a file; one that ends with .gz is compressed.
func write(t *testing.T, name, text string) string {
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	require.NoError(t, err)
	if strings.HasSuffix(name, ".gz") {
		z := gzip.NewWriter(f)
		_, err = z.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, z.Close())
	} else {
		_, err = f.WriteString(text)
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	return path
}

func sample(out map[string]string, ls labels.Labels, t int64, v float64) {
	migratetest.Put(out, ls, &model.Columns{T: []int64{t}, V: []float64{v}})
}

// TestText takes over lines in no order, over many days and runs of the sorter, some of them bad.
func TestText(t *testing.T) {
	w := migratetest.New(t)
	want := map[string]string{}
	var b strings.Builder
	bad := 0
	for n := range 5000 {
		at := migratetest.FirstDay.Range().MinMs + w.Rand.Int64N(5*model.MsPerDay)/1000*1000
		if n > 0 && w.Rand.IntN(50) == 0 {
			fmt.Fprintf(&b, "m{a=\"%d\" 1 2\n", n)
			bad++
			continue
		}
		ls := labels.FromStrings("__name__", fmt.Sprintf("m%d", w.Rand.IntN(9)), "a", fmt.Sprint(w.Rand.IntN(9)))
		v := math.Round(w.Rand.Float64() * 1000)
		fmt.Fprintf(&b, "%s{a=%q} %v %d\n", ls.Get("__name__"), ls.Get("a"), v, at)
		sample(want, ls, at, v)
	}
	skips := migrate.NewSkips(false)
	src := NewText([]string{write(t, "x.prom.gz", b.String())}, false, skips, &FileOptions{TempDir: t.TempDir(), SortBytes: 1})
	r := w.Backfill(migratetest.Small(), src, skips)
	require.Greater(t, src.sorter.Runs(), 1, "it was sorted on disk")
	require.NoError(t, src.Close())
	require.Equal(t, int64(bad), r.Skipped["line"])
	require.Positive(t, skips.Named()[0].Line)
	w.Complete(want)
}

// TestOpenMetrics reads times in seconds, and says what has none.
func TestOpenMetrics(t *testing.T) {
	w := migratetest.New(t)
	at := migratetest.FirstDay.Range().MinMs
	text := fmt.Sprintf("# TYPE a counter\na_total{x=\"1\"} 3 %d.5\na_total{x=\"2\"} 4\na_total{x=\"1\"} 5 99999999999999\na_total{x=\"3\"} 1 %d\n# EOF\n", at/1000, (migratetest.FirstDay+90).Range().MinMs/1000)
	skips := migrate.NewSkips(false)
	src := NewText([]string{write(t, "x.om", text)}, true, skips, nil)
	defer func() { require.NoError(t, src.Close()) }()
	w.Backfill(migratetest.Small(), src, skips)
	want := map[string]string{}
	sample(want, labels.FromStrings("__name__", "a_total", "x", "1"), at+500, 3)
	w.Complete(want)
	require.Equal(t, map[string]int64{"samples": 2, "line": 1}, skips.Counts(), "no time, the future, the year 3 million: %v", skips.Named())
}

// TestVictoria reads an export, whatever its values.
func TestVictoria(t *testing.T) {
	w := migratetest.New(t)
	at := migratetest.FirstDay.Range().MinMs
	lines := fmt.Sprintf(`{"metric":{"__name__":"up","job":"a b"},"values":[1,null,"Infinity",-0.5],"timestamps":[%d,%d,%d,%d]}
{"metric":{"__name__":"up"},"values":[1],"timestamps":[]}

{"metric":{"__name__":"up","job":"a b"},"values":[7],"timestamps":[%d]}
{"metric":{"":"no name"},"values":[7],"timestamps":[%d]}
{"metric"
`, at, at+1, at+2, at+model.MsPerDay, at, at)
	skips := migrate.NewSkips(false)
	src := NewVictoria([]string{write(t, "x.jsonl", lines)}, skips, nil)
	defer func() { require.NoError(t, src.Close()) }()
	w.Backfill(migratetest.Small(), src, skips)
	ls := labels.FromStrings("__name__", "up", "job", "a b")
	want := map[string]string{}
	migratetest.Put(want, ls, &model.Columns{T: []int64{at, at + 1, at + 2, at + model.MsPerDay}, V: []float64{7, vmline.Null, math.Inf(1), -0.5}})
	w.Complete(want)
	require.Equal(t, map[string]int64{"line": 2, "series": 1}, skips.Counts())
	require.Equal(t, int64(2), skips.Named()[0].Line)
}

// TestChangedFile is another job, and adds what is new.
func TestChangedFile(t *testing.T) {
	w := migratetest.New(t)
	at := migratetest.FirstDay.Range().MinMs
	want := map[string]string{}
	text := ""
	for n := range 3 {
		text += fmt.Sprintf("m %d %d\n", n, at+int64(n))
		sample(want, labels.FromStrings("__name__", "m"), at+int64(n), float64(n))
		for run := range 2 {
			skips := migrate.NewSkips(true)
			src := NewText([]string{write(t, "x", text)}, false, skips, nil)
			r := w.Backfill(migratetest.Small(), src, skips)
			require.Equal(t, 1-run, r.Blocks)
			require.NoError(t, src.Close())
		}
		got, _, _ := w.Read()
		migratetest.Same(t, want, got)
	}
}

// TestLongKeys: what is remembered of series and metrics is bounded by bytes too, and a series that was forgotten is taken again.
func TestLongKeys(t *testing.T) {
	w := migratetest.New(t)
	const series, bytes = 1500, 60_000 // twice as much as is remembered
	skips := migrate.NewSkips(false)
	s := newFiles(textFormat{}, nil, skips, &FileOptions{TempDir: t.TempDir(), SortBytes: 1 << 20})
	s.begin()
	f := s.newFile("x", nil, model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, func(labels.Labels) bool { return true })
	f.rows = newRows(f)
	at := migratetest.FirstDay.Range().MinMs
	for range 2 {
		for i := range series {
			name := fmt.Sprintf("m%0*d", bytes, i)
			ls := func() (labels.Labels, error) { return labels.FromStrings("__name__", name), nil }
			require.NoError(t, f.add(1, []byte(name), ls, at+w.Rand.Int64N(model.MsPerDay), 1))
			f.rows.metadata(&model.MetadataRow{Metric: []byte(name[:maxRowBytes]), Row: []byte(name[:maxRowBytes])})
		}
	}
	held := 0
	for key := range f.known {
		held += len(key)
	}
	require.LessOrEqual(t, held, maxKnownKeyBytes)
	require.Equal(t, held, f.knownBytes)
	held = 0
	for name := range f.rows.metrics {
		held += len(name)
	}
	for name, row := range f.rows.said {
		held += len(name) + len(row)
	}
	require.NotEmpty(t, f.rows.metrics)
	require.LessOrEqual(t, held, maxRowsBytes)
	require.NoError(t, s.sorter.Finish())
	taken := map[string]bool{}
	for got, err := range s.Series(t.Context(), model.TimeRange{MinMs: at, MaxMs: at + model.MsPerDay - 1}, nil) {
		require.NoError(t, err)
		taken[got.Labels().Get("__name__")] = true
	}
	require.Len(t, taken, series)
	require.NoError(t, s.Close())
}
