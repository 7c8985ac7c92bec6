package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// APIAsker asks a server that speaks Prometheus' HTTP API: Prometheus itself, Thanos, Mimir, VictoriaMetrics, Varve. Safe for concurrent use.
type APIAsker struct {
	base   url.URL
	client *http.Client
}

// NewAPIAsker returns one for the address below which /api/v1/query lies. The client knows of credentials, headers and certificates. User and password of the address never show in errors.
func NewAPIAsker(base string, client *http.Client) (*APIAsker, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("address is not of the form http://HOST:PORT: %w", model.ErrInvalid) // the cause quotes it
	}
	return &APIAsker{base: *u, client: client}, nil
}

// maxAnswer bounds the body of an answer.
const maxAnswer = 64 << 20

// Ask implements Asker.
func (a *APIAsker) Ask(ctx context.Context, q Question) (*Answer, error) {
	form := url.Values{"query": {q.Query}}
	at := "query"
	if q.Step == 0 {
		form.Set("time", seconds(q.End.UnixMilli()))
	} else {
		at = "query_range"
		form.Set("start", seconds(q.Start.UnixMilli()))
		form.Set("end", seconds(q.End.UnixMilli()))
		form.Set("step", seconds(q.Step.Milliseconds()))
	}
	u := a.base
	u.Path = strings.TrimSuffix(u.Path, "/") + "/api/v1/" + at
	body, status, err := a.post(ctx, u.String(), form)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w: %w", u.Redacted(), model.ErrUnavailable, err)
	}
	answer, err := parseAnswer(body)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("it is a good answer, and yet: %w", model.ErrUnavailable)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: status %d: %w", u.Redacted(), status, err)
	}
	return answer, nil
}

func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }

func (a *APIAsker) post(ctx context.Context, to string, form url.Values) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, 0, errors.New("bad address")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := a.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the rest is the address
		}
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("answer of more than %d MiB", maxAnswer>>20)
	}
	return body, resp.StatusCode, err
}

// The answer of the API.
type apiAnswer struct {
	Status    string   `json:"status"`
	Error     string   `json:"error"`
	ErrorType string   `json:"errorType"`
	Warnings  []string `json:"warnings"`
	Infos     []string `json:"infos"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
	IsPartial bool `json:"isPartial"` // of VictoriaMetrics
}

type apiSeries struct {
	Metric     map[string]string `json:"metric"`
	Value      *apiValue         `json:"value"`
	Values     []apiValue        `json:"values"`
	Histogram  *apiHistogram     `json:"histogram"`
	Histograms []apiHistogram    `json:"histograms"`
}

// parseAnswer parses the body of an answer, and finds what may be wrong with it.
func parseAnswer(body []byte) (*Answer, error) {
	var in apiAnswer
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("the answer is none of Prometheus' API (%.60q): %w", body, model.ErrUnavailable)
	}
	switch {
	case in.Status == "error" && (in.ErrorType == "bad_data" || in.ErrorType == "422"):
		return nil, fmt.Errorf("%.300s: %w", in.Error, model.ErrInvalid)
	case in.Status != "success":
		return nil, fmt.Errorf("%.300s: %w", in.Error, model.ErrUnavailable)
	case in.IsPartial:
		return nil, fmt.Errorf("the answer is a part only: %w", model.ErrUnavailable)
	}
	a := &Answer{Type: in.Data.ResultType, Notes: append(in.Warnings, in.Infos...)}
	var err error
	switch a.Type {
	case "scalar":
		var v apiValue
		if err = json.Unmarshal(in.Data.Result, &v); err == nil {
			a.Series = []AnswerSeries{{Points: []Point{{T: v.t, V: v.v}}}}
		}
	case "string":
		var v [2]any
		if err = json.Unmarshal(in.Data.Result, &v); err == nil {
			a.Text, _ = v[1].(string)
		}
	case "vector", "matrix":
		var all []apiSeries
		if err = json.Unmarshal(in.Data.Result, &all); err == nil {
			for i := range all {
				a.Series = append(a.Series, AnswerSeries{labels.FromMap(all[i].Metric), all[i].points()})
			}
		}
	default:
		err = fmt.Errorf("result of type %.30q", a.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be read: %w: %w", model.ErrUnavailable, err)
	}
	return a, nil
}

func (s *apiSeries) points() []Point {
	var out []Point
	floats, hists := s.Values, s.Histograms
	if s.Value != nil {
		floats = append(floats, *s.Value)
	}
	if s.Histogram != nil {
		hists = append(hists, *s.Histogram)
	}
	for len(floats) > 0 || len(hists) > 0 {
		if len(hists) == 0 || len(floats) > 0 && floats[0].t < hists[0].t {
			out, floats = append(out, Point{T: floats[0].t, V: floats[0].v}), floats[1:]
			continue
		}
		out, hists = append(out, Point{T: hists[0].t, H: &hists[0].h}), hists[1:]
	}
	return out
}

// apiValue is [seconds, "value"].
type apiValue struct {
	t int64
	v float64
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *apiValue) UnmarshalJSON(b []byte) error {
	t, raw, err := timed(b)
	if err != nil {
		return err
	}
	v.t = t
	v.v, err = number(raw)
	return err
}

// timed takes [seconds, something] apart.
func timed(b []byte) (int64, json.RawMessage, error) {
	var pair []json.RawMessage
	if err := json.Unmarshal(b, &pair); err != nil {
		return 0, nil, err
	}
	if len(pair) != 2 {
		return 0, nil, fmt.Errorf("a value of %d parts", len(pair))
	}
	var at float64
	if err := json.Unmarshal(pair[0], &at); err != nil {
		return 0, nil, err
	}
	if math.Abs(at) > 1e12 {
		return 0, nil, fmt.Errorf("time %v", at)
	}
	return int64(math.Round(at * 1000)), pair[1], nil
}

// number is a float in a string.
func number(b json.RawMessage) (float64, error) {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(s, 64)
}

// apiHistogram is [seconds, {"count": "…", "sum": "…", "buckets": [[edges, "lower", "upper", "count"]]}].
type apiHistogram struct {
	t int64
	h AnswerHistogram
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *apiHistogram) UnmarshalJSON(b []byte) error {
	t, raw, err := timed(b)
	if err != nil {
		return err
	}
	h.t = t
	var in struct {
		Count   json.RawMessage     `json:"count"`
		Sum     json.RawMessage     `json:"sum"`
		Buckets [][]json.RawMessage `json:"buckets"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	if h.h.Count, err = number(in.Count); err != nil {
		return err
	}
	if h.h.Sum, err = number(in.Sum); err != nil {
		return err
	}
	for _, b := range in.Buckets {
		if len(b) != 4 {
			return fmt.Errorf("a bucket of %d parts", len(b))
		}
		var out AnswerBucket
		if err := json.Unmarshal(b[0], &out.Edges); err != nil {
			return err
		}
		for i, to := range []*float64{&out.Lower, &out.Upper, &out.Count} {
			if *to, err = number(b[i+1]); err != nil {
				return err
			}
		}
		if out.Count != 0 {
			h.h.Buckets = append(h.h.Buckets, out)
		}
	}
	return nil
}
