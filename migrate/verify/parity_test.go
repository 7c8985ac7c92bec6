package verify

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
)

// asker evaluates over a side, as it was compared before.
func asker(t *testing.T, s *side, maxBytes int64) *EngineAsker {
	cfg := &Config{}
	cfg.Job.Tenant = "t"
	c := Components{Source: s, Skips: migrate.NewSkips(false), Target: s, TargetSkips: migrate.NewSkips(false), Now: time.Now}
	r, err := Run(context.Background(), cfg, c)
	require.NoError(t, err)
	engine := query.NewEngine(nil, query.NewParser(), nil, nil)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	return &EngineAsker{engine, NewSourceQueryable(cfg, c, r, maxBytes)}
}

func instant(q string) Question { return Question{Query: q, End: time.UnixMilli(at(86_400))} }

// TestParity asks two sides that differ in one sample.
func TestParity(t *testing.T) {
	source := world(t)
	target := source.clone()
	target.of("__name__", "up", "job", "b").c.V[49]++ // one minute to midnight
	target.of("__name__", "h").c.H[50] = encode(t, 0, tsdbutil.GenerateTestHistogram(3))
	questions := []Question{
		instant("up"), instant("sum(up)"), instant("histogram_quantile(0.9, h)"), instant("h"), instant("f"), instant("scalar(zero)"), instant(`"text"`), instant("nothing"), instant("rate(since[5m])"),
		{Query: "up", Start: time.UnixMilli(at(86_400 - 600)), End: time.UnixMilli(at(86_400 + 600)), Step: time.Minute},
		{Query: "up[3m]", End: time.UnixMilli(at(86_400))},
	}
	all, err := Parity(context.Background(), questions, asker(t, source, 0), asker(t, target, 0), 0, 3)
	require.NoError(t, err)
	for i, want := range []int{0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1} {
		require.Equal(t, want, all[i].Different, "%+v", all[i])
		require.Equal(t, want == 0, all[i].Equal)
	}
	require.Equal(t, 4, Different(all))
	require.Equal(t, []PointDifference{{`{__name__="up", job="b"}`, at(86_400 - 60), "49", "50"}}, all[9].Differences)
	require.Equal(t, 42, all[9].Points)
	require.Equal(t, 0, all[7].Points)
	require.Contains(t, all[3].Differences[0].Source, "histogram of count 462, sum 938.4, ")
}

// TestParityNamesWhatIsMissing: series and points that one side lacks.
func TestParityNamesWhatIsMissing(t *testing.T) {
	a := &Answer{Type: "matrix", Series: []AnswerSeries{
		{labels.FromStrings("a", "1"), []Point{{T: 1, V: 1}, {T: 2, V: 2}}},
		{labels.FromStrings("a", "2"), []Point{{T: 1, V: math.NaN()}}},
	}}
	b := &Answer{Type: "matrix", Series: []AnswerSeries{
		{labels.FromStrings("a", "3"), []Point{{T: 1, V: 1}}},
		{labels.FromStrings("a", "1"), []Point{{T: 2, V: 2}, {T: 3, V: 3}}},
	}}
	c := compareAnswers(Question{Step: time.Second}, a, b, 0, 10)
	require.Equal(t, []PointDifference{{`{a="1"}`, 1, "1", ""}, {`{a="1"}`, 3, "", "3"}, {`{a="2"}`, 1, "NaN", ""}, {`{a="3"}`, 1, "", "1"}}, c.Differences)
	require.Equal(t, []int{3, 5, 4}, []int{c.Series, c.Points, c.Different})
	scalar := &Answer{Type: "scalar", Series: []AnswerSeries{{Points: []Point{{T: 1, V: 1}}}}}
	require.False(t, compareAnswers(Question{}, a, scalar, 0, 10).Equal)
	require.False(t, compareAnswers(Question{}, &Answer{Type: "string", Text: "a"}, &Answer{Type: "string", Text: "b"}, 0, 10).Equal)
	require.True(t, compareAnswers(Question{}, &Answer{Type: "vector"}, &Answer{Type: "matrix"}, 0, 10).Equal)
}

// TestSamePoint: each part of a native histogram counts.
func TestSamePoint(t *testing.T) {
	h := func(change func(h *AnswerHistogram)) Point {
		h := &AnswerHistogram{Count: 3, Sum: 4, Buckets: []AnswerBucket{{Edges: 0, Lower: 1, Upper: 2, Count: 3}}}
		change(h)
		return Point{H: h}
	}
	same := h(func(*AnswerHistogram) {})
	require.True(t, samePoint(same, h(func(*AnswerHistogram) {}), 0))
	for _, change := range []func(h *AnswerHistogram){
		func(h *AnswerHistogram) { h.Count++ }, func(h *AnswerHistogram) { h.Sum++ }, func(h *AnswerHistogram) { h.Buckets = nil }, func(h *AnswerHistogram) { h.Buckets[0].Edges++ },
		func(h *AnswerHistogram) { h.Buckets[0].Lower-- }, func(h *AnswerHistogram) { h.Buckets[0].Upper++ }, func(h *AnswerHistogram) { h.Buckets[0].Count++ },
	} {
		require.False(t, samePoint(same, h(change), 0))
	}
	require.False(t, samePoint(same, Point{}, 0))
}

// TestMixedPoints: floats and histograms of one series come in order of time.
func TestMixedPoints(t *testing.T) {
	h := &histogram.FloatHistogram{Count: 1}
	got := pointsOf(&promql.Series{Floats: []promql.FPoint{{T: 1, F: 1}, {T: 4, F: 4}}, Histograms: []promql.HPoint{{T: 2, H: h}, {T: 3, H: h}, {T: 5, H: h}}})
	var times []int64
	for _, p := range got {
		times = append(times, p.T)
	}
	require.Equal(t, []int64{1, 2, 3, 4, 5}, times)
	require.Nil(t, got[0].H)
	require.NotNil(t, got[1].H)
}

// TestRelabelledSource is asked by the labels that series have behind relabelling.
func TestRelabelledSource(t *testing.T) {
	s := world(t)
	cfg := &Config{}
	cfg.Job.Tenant, cfg.Job.TempDir = "t", t.TempDir()
	cfg.Job.Relabel = []*relabel.Config{{SourceLabels: commonmodel.LabelNames{"job"}, Separator: ";", Regex: relabel.MustNewRegexp("(.+)"), TargetLabel: "site", Replacement: "x$1", Action: relabel.Replace}}
	require.NoError(t, cfg.Job.Relabel[0].Validate(commonmodel.UTF8Validation))
	c := Components{Source: s, Skips: migrate.NewSkips(false), Target: s, TargetSkips: migrate.NewSkips(false), Now: time.Now}
	r, err := Run(context.Background(), cfg, c)
	require.NoError(t, err)
	engine := query.NewEngine(nil, query.NewParser(), nil, nil)
	defer func() { require.NoError(t, engine.Close()) }()
	a, err := (&EngineAsker{engine, NewSourceQueryable(cfg, c, r, 0)}).Ask(context.Background(), instant(`up{site="xb"}`))
	require.NoError(t, err)
	require.Equal(t, []AnswerSeries{{labels.FromStrings("__name__", "up", "job", "b", "site", "xb"), []Point{{T: at(86_400), V: 50}}}}, a.Series)
}

// TestTooLargeQuery is refused, and says what to do.
func TestTooLargeQuery(t *testing.T) {
	_, err := asker(t, world(t), 1000).Ask(context.Background(), instant("sum(max_over_time(up[1h]))"))
	require.ErrorIs(t, err, model.ErrLimit)
	require.ErrorContains(t, err, "more than 0 MiB of the source")
	_, err = asker(t, world(t), 0).Ask(context.Background(), instant("sum(("))
	require.ErrorIs(t, err, model.ErrInvalid)
}

// TestAPI asks a server.
func TestAPI(t *testing.T) {
	answers := map[string]string{
		"/api/v1/query up":   `{"status":"success","warnings":["w"],"data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"b"},"value":[1772409600,"50"]},{"metric":{"__name__":"up","job":"a"},"value":[1772409600.000,"0"]}]}}`,
		"/api/v1/query zero": `{"status":"success","data":{"resultType":"scalar","result":[1772409600,"0"]}}`,
		"/api/v1/query h": `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"h"},"histogram":[1772409600,{"count":"462","sum":"938.4000000000001","buckets":[` +
			`[1,"-2","-1","0"]]}]}]}}`,
		"/api/v1/query bad":     `{"status":"error","errorType":"bad_data","error":"no such thing"}`,
		"/api/v1/query down":    `{"status":"error","errorType":"unavailable","error":"come back"}`,
		"/api/v1/query html":    `<html>`,
		"/api/v1/query partial": `{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}`,
		"/api/v1/query cut":     `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__na`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		require.Equal(t, "user secret", user+" "+password)
		require.Equal(t, "1772409600.000", r.FormValue("time"))
		body := answers[r.URL.Path+" "+r.FormValue("query")]
		if strings.Contains(body, `"error"`) {
			w.WriteHeader(http.StatusBadRequest)
		}
		fmt.Fprint(w, body)
	}))
	defer server.Close()
	a, err := NewAPIAsker(strings.Replace(server.URL, "http://", "http://user:secret@", 1), server.Client())
	require.NoError(t, err)
	all, err := Parity(context.Background(), []Question{instant("up")}, a, asker(t, world(t), 0), 0, 3)
	require.NoError(t, err)
	require.True(t, all[0].Equal, "%+v", all[0])
	require.Equal(t, []string{"source: w"}, all[0].Notes)
	got, err := a.Ask(context.Background(), instant("h"))
	require.NoError(t, err)
	require.Equal(t, &AnswerHistogram{Count: 462, Sum: 938.4000000000001}, got.Series[0].Points[0].H)
	got, err = a.Ask(context.Background(), instant("zero"))
	require.NoError(t, err)
	require.Equal(t, []AnswerSeries{{Points: []Point{{T: at(86_400)}}}}, got.Series)
	for q, kind := range map[string]error{"bad": model.ErrInvalid, "down": model.ErrUnavailable, "html": model.ErrUnavailable, "cut": model.ErrUnavailable, "partial": model.ErrUnavailable} {
		_, err := a.Ask(context.Background(), instant(q))
		require.ErrorIs(t, err, kind, q)
		require.NotContains(t, err.Error(), "secret")
	}
	server.Close()
	_, err = a.Ask(context.Background(), instant("up"))
	require.ErrorIs(t, err, model.ErrUnavailable)
	require.NotContains(t, err.Error(), "secret")
	for _, wrong := range []string{"", "host:1", "ftp://x", "http://user:secret@", "http://a:secret@h\x00"} {
		_, err := NewAPIAsker(wrong, server.Client())
		require.ErrorIs(t, err, model.ErrInvalid)
		require.NotContains(t, err.Error(), "secret")
	}
}

// FuzzAnswer: whatever a server answers, it is an answer or an error.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"2"]}]}}`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"NaN"],[2.5,"+Inf"]],"histograms":[[1,{"count":"1","sum":"2","buckets":[[0,"1","2","3"]]}]]}]}}`,
		`{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`, `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`, `{"status":"error"}`, `{}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer(b)
		if err != nil {
			return
		}
		c := compareAnswers(Question{}, a, a, 0, 10)
		for _, d := range c.Differences {
			// A server may send a series twice, or times that go back; the same answer is still the same.
			t.Fatalf("an answer differs from itself: %+v", d)
		}
	})
}
