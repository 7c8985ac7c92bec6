package varve_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/api"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// threeDays is three days of a counter that is reset now and then, gauges of integers, and a native histogram: every 30 s, and at midnights.
func threeDays(r *rand.Rand, from time.Time, day int) (all []varve.Series) {
	counter, buckets := 0.0, int64(0)
	of := func(name string) varve.Series {
		return varve.Series{Labels: labels.FromStrings("__name__", name, "job", "a")}
	}
	requests, heat, load, latency := of("requests_total"), of("heat"), of("load"), of("latency")
	for at := from.AddDate(0, 0, day); at.Before(from.AddDate(0, 0, day+1)); at = at.Add(30 * time.Second) {
		if counter += float64(r.IntN(20)); r.IntN(300) == 0 {
			counter = 0
		}
		buckets += int64(r.IntN(5))
		t := at.UnixMilli()
		requests.Samples = append(requests.Samples, model.Sample{T: t, V: counter})
		heat.Samples = append(heat.Samples, model.Sample{T: t, V: float64(r.IntN(100) - 50)})
		load.Samples = append(load.Samples, model.Sample{T: t, V: r.NormFloat64()})
		if at.Minute()%10 == 0 {
			latency.Histograms = append(latency.Histograms, varve.Histogram{T: t, Int: &histogram.Histogram{
				Schema: 1, Count: uint64(buckets), Sum: float64(buckets), PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{buckets},
			}})
		}
	}
	return []varve.Series{requests, heat, load, latency}
}

// answer is what the HTTP API answers.
type answer struct {
	Data            json.RawMessage
	Infos, Warnings []string
}

func get(t *testing.T, h http.Handler, call string, form url.Values) (a answer) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, api.Prefix+"/"+call+"?"+form.Encode(), nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(tenant.NewContext(r.Context(), "default")))
	require.Equal(t, http.StatusOK, w.Code, "%s %v: %s", call, form, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
	return a
}

// TestRollupsAnswer: three days are written, compacted and rolled up by the jobs of lifecycle, and the raw samples of two of them expire. What the API answers over whole windows
// stays the same to the last digit, whatever days a range touches.
func TestRollupsAnswer(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var now atomic.Pointer[time.Time]
	set := func(t time.Time) { now.Store(&t) }
	clock := func() time.Time { return *now.Load() }
	set(from.AddDate(0, 0, 4))
	b := blob.New(mem.NewAt(clock), nil)
	defer b.Close()
	db, err := varve.Open(t.Context(), &varve.Options{OpenedBucket: b, DataDir: t.TempDir(), Now: clock})
	require.NoError(t, err)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for day := range 3 {
		_, err := db.AppendSeries(t.Context(), "default", threeDays(r, from, day)...)
		require.NoError(t, err)
		require.NoError(t, db.Flush(t.Context()))
	}
	c := catalog.New(b, nil, catalog.Components{Now: clock})
	_, err = c.UpdateRoot(t.Context(), "default", func(r *catalog.Root) error {
		return lifecycle.SetRetention(r, &lifecycle.Retention{Raw: "9d", Rollups: "365d"})
	})
	require.NoError(t, err)
	w, err := lifecycle.New(&lifecycle.Config{Compact: lifecycle.CompactSettings{Settle: -1, WaitForWriters: -1}}, lifecycle.Components{Bucket: b, Now: clock, Catalog: c})
	require.NoError(t, err)
	look := func() {
		for range 4 {
			r, err := w.Once(t.Context())
			require.NoError(t, err)
			require.Empty(t, r.Failures)
			set(clock().Add(10 * time.Minute))
		}
	}
	look()
	h, err := api.New(nil, api.Components{Engine: db.Engine(), Queryable: db.Queryable(), Parser: db.Parser()})
	require.NoError(t, err)

	calls := wholeWindows(from)
	raw := make([]answer, len(calls))
	for i, f := range calls {
		raw[i] = get(t, h, f.call, f.with("resolution", "raw"))
		require.Empty(t, raw[i].Infos)
		require.NotContains(t, string(raw[i].Data), `"result":[]`, f)
	}
	same := func(resolutions ...string) (infos int) {
		for i, f := range calls {
			for _, resolution := range resolutions {
				got := get(t, h, f.call, f.with("resolution", resolution))
				require.JSONEq(t, string(raw[i].Data), string(got.Data), "%q: %v", resolution, f)
				require.Empty(t, got.Warnings)
				infos += len(got.Infos)
			}
		}
		return infos
	}
	require.Zero(t, same(""), "raw is used wherever it exists")
	require.NotZero(t, same("auto", "5m"))

	set(from.AddDate(0, 0, 11).Add(6 * time.Hour))
	look()
	for day, blocks := range []int{0, 0, 1} {
		p, err := c.Partition(t.Context(), "default", model.DayOf(from.AddDate(0, 0, day).UnixMilli()), nil)
		require.NoError(t, err)
		require.Len(t, p.Blocks, blocks)
		require.NotEmpty(t, p.Rollups)
	}
	require.NotZero(t, same("", "auto", "5m"))

	// Growth is what the samples' was, but for what extrapolation makes of the edges.
	at := fmt.Sprint(from.Add(30 * time.Hour).Unix())
	got := get(t, h, "query", url.Values{"query": {"irate(requests_total[1h])"}, "time": {at}})
	require.Equal(t, []string{"PromQL info: raw samples before 2026-01-03 have expired, and irate cannot use rollups"}, got.Infos)
	got = get(t, h, "query", url.Values{"query": {"rate(requests_total[5m])"}, "time": {at}})
	require.Equal(t, []string{"PromQL info: rollups of 5m answer for 2026-01-02"}, got.Infos)
	require.Contains(t, string(got.Data), `"job":"a"`)
	got = get(t, h, "label/__name__/values", url.Values{"start": {fmt.Sprint(from.Unix())}, "end": {at}})
	require.JSONEq(t, `["heat","latency","load","requests_total"]`, string(got.Data))

	// A snapshot has the rollups too.
	_, _, err = db.CreateSnapshot(t.Context(), "default", "old", false)
	require.NoError(t, err)
	res, err := db.Query(query.WithSnapshot(t.Context(), "old"), "default", "max_over_time(heat[1h])", from.Add(30*time.Hour))
	require.NoError(t, err)
	require.NoError(t, res.Err)
	require.Contains(t, fmt.Sprint(res.Warnings), "rollups of 5m answer for 2026-01-02")
	require.NotEmpty(t, res.String())

	// A late sample is seen at once, and goes into its window.
	ask := func() string {
		res, err := db.Query(t.Context(), "default", "max_over_time(heat[5m])", from.Add(30*time.Hour))
		require.NoError(t, err)
		require.NoError(t, res.Err)
		return strings.Split(res.String(), "@")[0]
	}
	_, err = db.AppendSeries(t.Context(), "default", varve.Series{
		Labels: labels.FromStrings("__name__", "heat", "job", "a"), Samples: []model.Sample{{T: from.Add(30*time.Hour).UnixMilli() - 17, V: 777}},
	})
	require.NoError(t, err)
	require.Contains(t, ask(), "777")
	require.NoError(t, db.Flush(t.Context()))
	require.Contains(t, ask(), "777")
	set(clock().AddDate(0, 0, 2))
	look()
	p, err := c.Partition(t.Context(), "default", model.DayOf(from.AddDate(0, 0, 1).UnixMilli()), nil)
	require.NoError(t, err)
	require.Empty(t, p.Unrolled())
	require.Contains(t, ask(), "777")
	require.NoError(t, db.Close(t.Context()))
}

type call struct {
	call string
	url.Values
}

func (c call) with(name, value string) url.Values {
	form := url.Values{name: {value}}
	for k, v := range c.Values {
		form[k] = v
	}
	return form
}

// wholeWindows are calls over three days whose answers are exact in rollups.
func wholeWindows(from time.Time) (calls []call) {
	for _, f := range []string{"min_over_time", "max_over_time", "last_over_time", "count_over_time", "sum_over_time", "present_over_time"} {
		for _, expr := range []string{"%s(heat[1h])", "%s(heat[6h] offset 1h)", "max_over_time(%s(heat[1h])[5h:1h])", "sum by (job) (%s(heat[25m]))", "%s({__name__=~\"heat|none\"}[2d])"} {
			expr := fmt.Sprintf(expr, f)
			for _, hours := range []int{25, 48, 49, 72} {
				calls = append(calls, call{"query", url.Values{"query": {expr}, "time": {fmt.Sprint(from.Add(time.Duration(hours) * time.Hour).Unix())}}})
			}
			calls = append(calls, call{"query_range", url.Values{
				"query": {expr}, "start": {fmt.Sprint(from.Add(5 * time.Hour).Unix())}, "end": {fmt.Sprint(from.Add(72 * time.Hour).Unix())}, "step": {"1h"},
			}})
		}
	}
	for _, expr := range []string{"heat", "sum(load)", "histogram_count(latency)", "last_over_time(load[10m])", "count_over_time(latency[1h])", "last_over_time(latency[2h])"} {
		calls = append(calls, call{"query_range", url.Values{
			"query": {expr}, "start": {fmt.Sprint(from.Add(5 * time.Hour).Unix())}, "end": {fmt.Sprint(from.Add(71 * time.Hour).Unix())}, "step": {"1h"},
		}})
	}
	return calls
}
