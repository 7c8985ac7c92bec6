package live

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// victoria is a stand-in for its export over the floats of the database.
func (w *world) victoria(packed bool) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		require.Equal(w.T, "/api/v1/export", r.URL.Path)
		ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(r.FormValue("match[]"))
		if r.FormValue("match[]") == `{__name__=~".*"}` { // which PromQL refuses
			ms, err = []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".*")}, nil
		}
		require.NoError(w.T, err)
		var at [2]int64
		for i, name := range []string{"start", "end"} {
			v, err := strconv.ParseFloat(r.FormValue(name), 64)
			require.NoError(w.T, err)
			at[i] = int64(math.Round(v * 1000))
		}
		rw.Header().Set("Content-Type", "application/stream+json; charset=utf-8")
		out := json.NewEncoder(rw)
		if packed {
			require.Equal(w.T, "gzip", r.Header.Get("Accept-Encoding"))
			rw.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(rw)
			defer z.Close()
			out = json.NewEncoder(z)
		}
		q, err := w.db.Querier(at[0], at[1])
		require.NoError(w.T, err)
		defer q.Close()
		set := q.Select(r.Context(), false, nil, ms...)
		for set.Next() {
			var line struct {
				Metric     map[string]string `json:"metric"`
				Values     []any             `json:"values"`
				Timestamps []int64           `json:"timestamps"`
			}
			line.Metric = set.At().Labels().Map()
			it := set.At().Iterator(nil)
			for typ := it.Next(); typ == chunkenc.ValFloat; typ = it.Next() {
				t, v := it.At()
				line.Timestamps = append(line.Timestamps, t)
				if math.IsNaN(v) {
					line.Values = append(line.Values, nil)
				} else {
					line.Values = append(line.Values, v)
				}
			}
			if len(line.Values) > 0 {
				_ = out.Encode(line)
			}
		}
	})
}

// floats are the contents of the database as VictoriaMetrics gives them.
func (w *world) floats() map[string]string {
	out := map[string]string{}
	s := w.serve(w.victoria(false))
	defer s.Close()
	w.NowMs++
	src := w.open(s, NewVictoria, migrate.NewSkips(true), nil)
	defer src.Close()
	for d := migratetest.FirstDay; d <= migratetest.FirstDay+3; d++ {
		_, _, err := src.Fetch(w.T.Context(), d.Range(), migrateAll, func(int64, int64) {})
		require.NoError(w.T, err)
		for s, err := range src.Series(w.T.Context(), d.Range(), nil) {
			require.NoError(w.T, err)
			c := &model.Columns{}
			require.NoError(w.T, s.Samples(c, d.Range()))
			migratetest.Put(out, s.Labels(), c)
		}
	}
	return out
}

// TestVictoria takes over an export, packed and not, with each request failing in some way.
func TestVictoria(t *testing.T) {
	w := newWorld(t).threeDays()
	want := w.floats()
	all4 := w.contents()
	marker := fmt.Sprintf("%016x", value.StaleNaN)
	floats := 0
	for k := range all4 {
		if k[1] != '_' { // no histogram: those have the name as their first label
			floats++
		}
	}
	require.Len(t, want, floats)
	require.Contains(t, want, fmt.Sprintf("%s %d", labels.FromStrings("no", "name"), migratetest.FirstDay.Range().MinMs))
	stale := 0
	for _, v := range want {
		if v == marker {
			stale++
		}
	}
	require.Positive(t, stale)
	for _, packed := range []bool{false, true} {
		h := w.victoria(packed)
		for name, f := range map[string]fault{"none": func(rw http.ResponseWriter, a *httptest.ResponseRecorder) { endAt(1<<30)(rw, a) }, "cut": cutAt(500), "end": endAt(501), "422": status(422, "too many samples"), "503": status(503, "")} {
			v := &world{World: migratetest.New(t), db: w.db}
			v.NowMs = w.NowMs
			s := v.serve(faulty(h, v.Rand.IntN(9), f))
			_, skips := v.take(s, NewVictoria, all(), nil)
			require.Empty(t, skips.Named(), name)
			v.Complete(want, name)
			s.Close()
		}
	}
}

// TestVictoriaBadLines leaves out what does not parse, and names it.
func TestVictoriaBadLines(t *testing.T) {
	w := newWorld(t)
	at := migratetest.FirstDay.Range().MinMs
	s := w.serve(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(rw, "{\"metric\":{\"a\":\"b\"},\"values\":[1,2,3],\"timestamps\":[%d,%d,%d]}\n\nrubbish\n", at+1, at-1, at+model.MsPerDay)
	}))
	cfg := all()
	cfg.Range.MaxMs = at + 3_599_999
	r, skips := w.take(s, NewVictoria, cfg, nil)
	require.Equal(t, map[string]int64{"line": 1}, r.Skipped)
	require.Equal(t, int64(3), skips.Named()[0].Line)
	want := map[string]string{}
	migratetest.Put(want, labels.FromStrings("a", "b"), &model.Columns{T: []int64{at + 1}, V: []float64{1}})
	w.Complete(want)
}
