//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// answer is the part of the answers of the HTTP API that the checks read.
type answer[T any] struct {
	Status   string   `json:"status"`
	Error    string   `json:"error"`
	Warnings []string `json:"warnings"`
	Data     T        `json:"data"`
}

type matrix struct {
	ResultType string `json:"resultType"`
	Result     []struct {
		Metric map[string]string `json:"metric"`
		Values [][2]any          `json:"values"`
	} `json:"result"`
}

// ask calls the HTTP API at base and decodes the answer.
func ask[T any](ctx context.Context, base, path string, form url.Values) (answer[T], error) {
	var a answer[T]
	status, body, err := call(ctx, http.MethodPost, base+path, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, strings.NewReader(form.Encode()))
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("%s: status %d: %w: %.200s", path, status, err, body)
	}
	if status != http.StatusOK || a.Status != "success" {
		return a, fmt.Errorf("%s %s: status %d: %s", path, form.Get("query"), status, a.Error)
	}
	return a, nil
}

// metricNames are the names of the metrics that the server at base knows. Sent as GET: the endpoint has no POST.
func metricNames(ctx context.Context, base string) ([]string, error) {
	status, body, err := call(ctx, http.MethodGet, base+"/api/v1/label/__name__/values", nil, nil)
	if err != nil {
		return nil, err
	}
	var a answer[[]string]
	if err := json.Unmarshal(body, &a); err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("metric names: status %d: %w: %.200s", status, err, body)
	}
	return a.Data, nil
}

// queryRaw reads all samples of the time before end by raw range selectors, metric by metric, over HTTP.
func queryRaw(t *testing.T, base string, names []string, end time.Time, length time.Duration) contents {
	t.Helper()
	answers := make([]answer[matrix], len(names))
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8) // as many as a dashboard sends
	for i, name := range names {
		form := url.Values{
			"query": {fmt.Sprintf("{__name__=%q}[%ds]", name, int(length.Seconds()))},
			"time":  {strconv.FormatFloat(float64(end.UnixMilli())/1000, 'f', 3, 64)},
		}
		g.Go(func() (err error) {
			answers[i], err = ask[matrix](ctx, base, "/api/v1/query", form)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	out := contents{}
	for i, a := range answers {
		for _, w := range a.Warnings {
			t.Errorf("query of %s: warning %q", names[i], w)
		}
		for _, s := range a.Data.Result {
			out[keyOf(s.Metric)] = points(t, s.Values)
		}
	}
	return out
}

func points(t *testing.T, values [][2]any) []point {
	t.Helper()
	out := make([]point, 0, len(values))
	for _, v := range values {
		seconds, ok := v[0].(float64)
		text, ok2 := v[1].(string)
		f, err := strconv.ParseFloat(text, 64)
		if !ok || !ok2 || err != nil {
			t.Fatalf("sample %v in an answer", v)
		}
		out = append(out, point{int64(math.Round(seconds * 1000)), math.Float64bits(f)})
	}
	return out
}
