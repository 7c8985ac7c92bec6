package acceptance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/varvedb/varve/api"
)

// overHTTP is an engine that asks each query over the HTTP API as well, with the same engine below it, and fails where the answer is not what Prometheus' codec makes of the
// engine's result: values, histograms, errors and annotations. JSON does not hold all of a histogram, so the suite itself looks at the result. Safe for concurrent use.
type overHTTP struct {
	promql.QueryEngine
	parser parser.Parser

	mu       sync.Mutex // guards handlers
	handlers map[storage.Queryable]http.Handler
}

func newOverHTTP(e promql.QueryEngine, p parser.Parser) *overHTTP {
	return &overHTTP{QueryEngine: e, parser: p, handlers: map[storage.Queryable]http.Handler{}}
}

// NewInstantQuery implements promql.QueryEngine.
func (o *overHTTP) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (promql.Query, error) {
	inner, err := o.QueryEngine.NewInstantQuery(ctx, q, opts, qs, ts)
	return o.asked(inner, err, q, opts, "query", url.Values{"query": {qs}, "time": {seconds(ts)}})
}

// NewRangeQuery implements promql.QueryEngine.
func (o *overHTTP) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	inner, err := o.QueryEngine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
	step := strconv.FormatFloat(interval.Seconds(), 'f', -1, 64)
	return o.asked(inner, err, q, opts, "query_range", url.Values{"query": {qs}, "start": {seconds(start)}, "end": {seconds(end)}, "step": {step}})
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

func (o *overHTTP) asked(inner promql.Query, err error, q storage.Queryable, opts promql.QueryOpts, path string, form url.Values) (promql.Query, error) {
	if opts != nil && opts.LookbackDelta() > 0 {
		form.Set("lookback_delta", opts.LookbackDelta().String())
	}
	h, newErr := o.handler(q)
	if newErr != nil {
		return nil, newErr
	}
	asked := &askedQuery{Query: inner, h: h, path: path, form: form}
	if err == nil {
		return asked, nil
	}
	return nil, errors.Join(err, asked.refused(err))
}

func (o *overHTTP) handler(q storage.Queryable) (http.Handler, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.handlers[q]
	if h == nil {
		var err error
		if h, err = api.New(nil, api.Components{Engine: o.QueryEngine, Queryable: q, Parser: o.parser}); err != nil {
			return nil, err
		}
		o.handlers[q] = h
	}
	return h, nil
}

// askedQuery is a query that is asked twice.
type askedQuery struct {
	promql.Query
	h    http.Handler
	path string
	form url.Values
}

// Exec implements promql.Query.
func (q *askedQuery) Exec(ctx context.Context) *promql.Result {
	r := q.Query.Exec(ctx)
	if err := q.compare(ctx, r); err != nil {
		return &promql.Result{Err: fmt.Errorf("%s %v over HTTP: %w", q.path, q.form, err)}
	}
	return r
}

// answerJSON is the envelope of an answer.
type answerJSON struct {
	Status, ErrorType, Error string
	Data                     jsoniter.RawMessage
	Warnings, Infos          []string
}

func (q *askedQuery) ask(ctx context.Context) (int, *answerJSON, error) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, api.Prefix+"/"+q.path, strings.NewReader(q.form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	q.h.ServeHTTP(w, r)
	a := &answerJSON{}
	if err := jsoniter.Unmarshal(w.Body.Bytes(), a); err != nil {
		return w.Code, nil, fmt.Errorf("status %d, %.200q: %w", w.Code, w.Body, err)
	}
	return w.Code, a, nil
}

func (q *askedQuery) compare(ctx context.Context, r *promql.Result) error {
	status, a, err := q.ask(ctx)
	if err != nil {
		return err
	}
	if r.Err != nil {
		return failed(status, a, r.Err, http.StatusUnprocessableEntity)
	}
	if status != http.StatusOK || a.Status != "success" {
		return fmt.Errorf("status %d, %s", status, a.Error)
	}
	want, err := (v1.JSONCodec{}).Encode(&v1.Response{Data: &v1.QueryData{ResultType: r.Value.Type(), Result: r.Value}})
	if err != nil {
		return err
	}
	var e answerJSON
	if err := jsoniter.Unmarshal(want, &e); err != nil {
		return err
	}
	if err := sameData(a.Data, e.Data, strings.HasPrefix(q.form.Get("query"), "sort")); err != nil {
		return err
	}
	const most = 10 // of each kind, as Prometheus has it
	warnings, infos := r.Warnings.AsStrings(q.form.Get("query"), most, most)
	for _, pair := range [][2][]string{{a.Warnings, warnings}, {a.Infos, infos}} {
		// Which ten of more are told is up to chance.
		if got, want := slices.Sorted(slices.Values(pair[0])), slices.Sorted(slices.Values(pair[1])); len(got) != len(want) || len(got) <= most && !slices.Equal(got, want) {
			return fmt.Errorf("got annotations %q, want %q", got, want)
		}
	}
	return nil
}

// sameData compares what is in the envelopes. Unless it was sorted, the engine gives vectors in any order.
func sameData(got, want jsoniter.RawMessage, ordered bool) error {
	if string(got) == string(want) {
		return nil
	}
	differ := fmt.Errorf("got %.2000s, want %.2000s", got, want)
	var sorted [2]string
	for i, data := range []jsoniter.RawMessage{got, want} {
		var d struct {
			ResultType string
			Result     []jsoniter.RawMessage
		}
		if err := jsoniter.Unmarshal(data, &d); err != nil || d.ResultType != "vector" || ordered {
			return differ
		}
		slices.SortFunc(d.Result, func(a, b jsoniter.RawMessage) int { return bytes.Compare(a, b) })
		for _, s := range d.Result {
			sorted[i] += string(s) + "\n"
		}
	}
	if sorted[0] != sorted[1] {
		return differ
	}
	return nil
}

// refused asks a query that does not even begin.
func (q *askedQuery) refused(because error) error {
	status, a, err := q.ask(context.Background())
	if err != nil {
		return err
	}
	return failed(status, a, because, http.StatusBadRequest)
}

func failed(status int, a *answerJSON, because error, want int) error {
	if status != want || a.Status != "error" || !strings.Contains(a.Error, because.Error()) {
		return fmt.Errorf("status %d %s, %q, want %d and %q", status, a.Status, a.Error, want, because)
	}
	return nil
}
