package varve_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/api"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/repair"
)

// saying appends series with exemplars, and metadata, a quarter of an hour's worth with every call.
type saying struct {
	rng *rand.Rand
	n   int
}

func (s *saying) append(t *testing.T, db *varve.DB) {
	t.Helper()
	var all []varve.Series
	for i := range 12 {
		one := varve.Series{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%d_total", i%3), "i", fmt.Sprint(i), "Zone", fmt.Sprint(i%2))}
		if i == 11 {
			one.Labels = labels.FromStrings("no", "name")
		}
		at := noon.Add(time.Duration(s.n) * 15 * time.Minute).UnixMilli()
		for k := range int64(20) {
			one.Samples = append(one.Samples, model.Sample{T: at + k*30_000, V: float64(s.rng.IntN(100))})
			for range s.rng.IntN(3) {
				one.Exemplars = append(one.Exemplars, model.Exemplar{
					T: at + k*30_000 + int64(s.rng.IntN(20)), V: s.rng.NormFloat64(), Labels: labels.FromStrings("trace_id", fmt.Sprintf("%x", s.rng.Uint64()), "ünï", "\"✓"),
				})
			}
		}
		all = append(all, one)
	}
	r, err := db.AppendSeries(t.Context(), "default", all...)
	require.NoError(t, err)
	require.Zero(t, r.DroppedExemplars)
	require.Empty(t, r.Rejected)
	for range 2 {
		r, err = db.AppendMetadata(t.Context(), "default", map[string]model.Metadata{
			"m0": {Type: commonmodel.MetricTypeCounter, Unit: "bytes", Help: "Zero\n✓."}, "m1": {Type: commonmodel.MetricTypeCounter, Help: fmt.Sprint("one ", s.n/3)},
			"other": {Type: commonmodel.MetricTypeGauge},
		})
		require.NoError(t, err)
		require.Zero(t, r.DroppedMetadata)
	}
	s.n++
}

// asked is what the API tells of exemplars and metadata, and what else could show them.
func asked(t *testing.T, h http.Handler) string {
	t.Helper()
	var b strings.Builder
	span := url.Values{"start": {"2026-01-01T00:00:00Z"}, "end": {"2026-01-02T00:00:00Z"}}
	with := func(name string, values ...string) url.Values {
		f := url.Values{name: values}
		for k, v := range span {
			f[k] = v
		}
		return f
	}
	for _, call := range []struct {
		path string
		form url.Values
	}{
		{"query_exemplars", with("query", `rate(m0_total[5m]) / on (i) {i="4",__name__=~"m.*"} + {i=~"1.",Zone!="1"}`)},
		{"query_exemplars", with("query", `{no="name"} + {__name__!~"m[01].*",__name__=~".+"}`)},
		{"query_exemplars", url.Values{"query": {`m1_total`}, "start": {"2026-01-01T12:16:00Z"}, "end": {"2026-01-01T12:17:00Z"}}},
		{"query_exemplars", with("query", `nothing + 1`)},
		{"metadata", nil},
		{"metadata", url.Values{"metric": {"m1"}, "limit_per_metric": {"1"}}},
		{"metadata", url.Values{"limit": {"1"}}},
		{"metadata", url.Values{"metric": {"m0_total"}}},
		{"labels", span},
		{"labels", with("match[]", `{Zone="1"}`)},
		{"label/__name__/values", span},
		{"label/i/values", span},
		{"label/i/values", with("match[]", `{Zone="1"}`)},
		{"label/U___0_varve/values", span},
		{"series", with("match[]", `{i="4"}`, `{Zone!=""}`, `{__name__=~"|m0.*",Zone=~".+"}`, `{no="name"}`)},
		{"status/tsdb", span},
		{"query", url.Values{"query": {`count({Zone=~".+"}) + count({no="name"})`}, "time": {"2026-01-01T12:05:00Z"}}},
	} {
		a := get(t, h, call.path, call.form)
		require.Empty(t, a.Warnings)
		fmt.Fprintf(&b, "%s %s\n%s\n", call.path, call.form.Encode(), a.Data)
	}
	return b.String()
}

// same compares answers line by line: all of them at once are too long to be read.
func same(t *testing.T, want, got, where string) {
	t.Helper()
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	require.Len(t, g, len(w), where)
	for i := range w {
		at := 0
		for at < min(len(w[i]), len(g[i])) && w[i][at] == g[i][at] {
			at++
		}
		if w[i] != g[i] {
			t.Fatalf("%s: %s\nwant …%.300s\ngot  …%.300s", where, w[i-1], w[i][max(at-100, 0):], g[i][max(at-100, 0):])
		}
	}
}

// TestExemplarsAndMetadata: what is said beside samples is the same for the API wherever it lies, in memory, in the log of a process that was killed, in hot blocks, merged,
// in parquet, and after catalogs were rebuilt; and nobody meets it who did not ask for it.
func TestExemplarsAndMetadata(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := &saying{rng: rand.New(rand.NewPCG(seed, 0))}
	clock := func() time.Time { return noon.Add(3 * time.Hour).Add(time.Duration(s.n) * time.Second) }
	b := blob.New(mem.NewAt(clock), &blob.Options{PartBytes: 3000})
	defer b.Close()
	start := func(dir string) (*varve.DB, http.Handler) {
		db, err := varve.Open(t.Context(), &varve.Options{OpenedBucket: b, DataDir: dir, Now: clock})
		require.NoError(t, err)
		h, err := api.New(nil, api.Components{Engine: db.Engine(), Queryable: db.Queryable(), Parser: db.Parser(), Now: clock})
		require.NoError(t, err)
		return db, h
	}
	dir := t.TempDir()
	killed, h := start(dir)
	for range 3 {
		s.append(t, killed)
	}
	want := asked(t, h)
	require.Contains(t, want, "trace_id")
	require.Contains(t, want, `{"m0":[{"type":"counter","unit":"bytes","help":"Zero\n✓."}],"m1":[{"type":"counter","unit":"","help":"one 0"}],"other":[{"type":"gauge","unit":"","help":""}]}`)
	require.NotContains(t, want, "varve\"")
	require.NotContains(t, want, `\u0000`)
	require.Contains(t, want, `["Zone","__name__","i","no"]`)
	require.Contains(t, want, `"numSeries":12`)
	require.Contains(t, want, `"value":[1767269100,"12"]`)

	// Killed and started again: all is in the log. The copy stands for the disk of a process that is gone.
	again := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.CopyFS(again, os.DirFS(dir)))
	db, h := start(again)
	same(t, want, asked(t, h), "replayed")
	require.NoError(t, db.Flush(t.Context()))
	same(t, want, asked(t, h), "hot block")

	for range 6 {
		s.append(t, db)
		require.NoError(t, db.Flush(t.Context()))
	}
	want = asked(t, h)
	require.Contains(t, want, `"m1":[{"type":"counter","unit":"","help":"one 2"},{"type":"counter","unit":"","help":"one 1"},{"type":"counter","unit":"","help":"one 0"}]`)
	look := func(cfg *lifecycle.Config, clock func() time.Time) {
		t.Helper()
		w, err := db.Lifecycle(cfg, lifecycle.Components{Now: clock})
		require.NoError(t, err)
		r, err := w.Once(t.Context())
		require.NoError(t, err)
		require.Empty(t, r.Failures)
		require.Positive(t, r.Jobs, "%+v", r)
	}
	look(&lifecycle.Config{Merge: lifecycle.MergeSettings{MaxBlocks: 3, MaxInputs: 5, MaxOutputSeries: 11}}, clock)
	same(t, want, asked(t, h), "merged")
	look(&lifecycle.Config{Compact: lifecycle.CompactSettings{WaitForWriters: -100 * 365 * 24 * time.Hour, Settle: -1}}, clock)
	same(t, want, asked(t, h), "parquet")

	day := model.DayOf(noon.UnixMilli())
	c := catalog.New(b, nil, catalog.Components{Now: clock})
	p, err := c.Partition(t.Context(), "default", day, nil)
	require.NoError(t, err)
	require.True(t, p.Blocks[0].Format.IsParquet())
	c2 := repair.Components{Bucket: b, Catalog: c, NowMs: func() int64 { return clock().UnixMilli() }}
	checked, err := repair.Check(t.Context(), c2, &repair.Options{})
	require.NoError(t, err)
	require.Empty(t, checked.Findings)
	_, err = repair.Rebuild(t.Context(), c2, &repair.Options{Tenant: "default", Force: true})
	require.NoError(t, err)
	same(t, want, asked(t, h), "rebuilt")

	// What a delete hides it hides with its exemplars, and erases them.
	gone := func() string {
		return string(get(t, h, "query_exemplars", url.Values{"query": {`{i="4"} + {no="name"} + {i="3"}`}}).Data)
	}
	require.Contains(t, gone(), `"i":"4"`)
	_, err = db.DeleteSeries(t.Context(), "default", []string{`m1_total{i="4"}`, `{no="name"}`}, model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, "")
	require.NoError(t, err)
	for _, erased := range []bool{false, true} {
		if erased {
			look(nil, func() time.Time { return time.Now().Add(48 * time.Hour) }) // deletes are as old as the wall's clock says
		}
		require.NotContains(t, gone(), `"i":"4"`)
		require.NotContains(t, gone(), `"no"`)
		require.Contains(t, gone(), `"i":"3"`)
		require.Contains(t, string(get(t, h, "metadata", nil).Data), "one 2")
	}
	p, err = c.Partition(t.Context(), "default", day, nil)
	require.NoError(t, err)
	for _, e := range p.Blocks {
		q := &blocks.Query{Range: day.Range(), Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "no", "name")}}
		sel, err := blocks.Select(t.Context(), blockReader{b}, e.Meta, q)
		require.NoError(t, err)
		require.Empty(t, sel.Series, "of all kinds, without masks")
		sel.Close()
	}
	require.NoError(t, db.Close(t.Context()))
}

type blockReader struct{ b *blob.Bucket }

func (r blockReader) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	return r.b.ReadRanges(ctx, key, ranges, nil)
}
