package varve_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
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

// TestExemplarsAndMetadata: what is said beside samples is the same for the API wherever it lies, and nobody meets it who did not ask for it.
func TestExemplarsAndMetadata(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := &saying{rng: rand.New(rand.NewPCG(seed, 0))}
	e := newEverywhere(t)
	for range 3 {
		s.append(t, e.db)
	}
	want := asked(t, e.h)
	require.Contains(t, want, "trace_id")
	require.Contains(t, want, `{"m0":[{"type":"counter","unit":"bytes","help":"Zero\n✓."}],"m1":[{"type":"counter","unit":"","help":"one 0"}],"other":[{"type":"gauge","unit":"","help":""}]}`)
	require.NotContains(t, want, "varve\"")
	require.NotContains(t, want, `\u0000`)
	require.Contains(t, want, `["Zone","__name__","i","no"]`)
	require.Contains(t, want, `"numSeries":12`)
	require.Contains(t, want, `"value":[1767269100,"12"]`)
	want = e.walk(func(db *varve.DB) { s.append(t, db) }, func() string { return asked(t, e.h) })
	require.Contains(t, want, `"m1":[{"type":"counter","unit":"","help":"one 2"},{"type":"counter","unit":"","help":"one 1"},{"type":"counter","unit":"","help":"one 0"}]`)
	db, h, c, day, look := e.db, e.h, e.catalog, e.day, e.look

	// What a delete hides it hides with its exemplars, and erases them.
	gone := func() string {
		return string(get(t, h, "query_exemplars", url.Values{"query": {`{i="4"} + {no="name"} + {i="3"}`}}).Data)
	}
	require.Contains(t, gone(), `"i":"4"`)
	_, err := db.DeleteSeries(t.Context(), "default", []string{`m1_total{i="4"}`, `{no="name"}`}, model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, "")
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
	p, err := c.Partition(t.Context(), "default", day, nil)
	require.NoError(t, err)
	for _, block := range p.Blocks {
		q := &blocks.Query{Range: day.Range(), Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "no", "name")}}
		sel, err := blocks.Select(t.Context(), blocks.Stored{Bucket: e.bucket}, block.Meta, q)
		require.NoError(t, err)
		require.Empty(t, sel.Series, "of all kinds, without masks")
		sel.Close()
	}
	require.NoError(t, db.Close(t.Context()))
}
