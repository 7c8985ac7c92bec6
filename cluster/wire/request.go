package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Path is where the handler is mounted and the client asks.
const Path = "/internal/v1/select"

// Limits of a request.
const (
	maxRequestBytes = 1 << 20
	maxMatchers     = 1000
	requestVersion  = 1
)

// request is the question, as JSON.
type request struct {
	Version  int       `json:"version"`
	Tenant   string    `json:"tenant"`
	MinMs    int64     `json:"minMs"`
	MaxMs    int64     `json:"maxMs"`
	Matchers []matcher `json:"matchers"`
}

type matcher struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

func encodeRequest(tenant string, r model.TimeRange, ms []*labels.Matcher) ([]byte, error) {
	q := request{Version: requestVersion, Tenant: tenant, MinMs: r.MinMs, MaxMs: r.MaxMs, Matchers: []matcher{}}
	for _, m := range ms {
		q.Matchers = append(q.Matchers, matcher{m.Type.String(), m.Name, m.Value})
	}
	return json.Marshal(&q)
}

// decodeRequest reads a question. The body is read up to a limit.
func decodeRequest(body io.Reader) (*request, []*labels.Matcher, error) {
	data, err := io.ReadAll(io.LimitReader(body, maxRequestBytes+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("read select request: %w", err)
	case len(data) > maxRequestBytes:
		return nil, nil, fmt.Errorf("select request is over %d bytes: %w", maxRequestBytes, model.ErrInvalid)
	}
	var q request
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		return nil, nil, fmt.Errorf("select request is no JSON object as expected: %v: %w", err, model.ErrInvalid)
	}
	if q.Version != requestVersion {
		return nil, nil, fmt.Errorf("select request of version %d, this process speaks %d: %w", q.Version, requestVersion, model.ErrInvalid)
	}
	if len(q.Matchers) > maxMatchers {
		return nil, nil, fmt.Errorf("select request with %d matchers, at most %d: %w", len(q.Matchers), maxMatchers, model.ErrInvalid)
	}
	ms := make([]*labels.Matcher, 0, len(q.Matchers))
	for i, m := range q.Matchers {
		t, ok := matchTypes[m.Type]
		if !ok {
			return nil, nil, fmt.Errorf("matcher %d has type %.20q, want one of = != =~ !~: %w", i, m.Type, model.ErrInvalid)
		}
		lm, err := labels.NewMatcher(t, m.Name, m.Value)
		if err != nil {
			return nil, nil, fmt.Errorf("matcher %d: %v: %w", i, err, model.ErrInvalid)
		}
		ms = append(ms, lm)
	}
	return &q, ms, nil
}

var matchTypes = map[string]labels.MatchType{
	labels.MatchEqual.String():     labels.MatchEqual,
	labels.MatchNotEqual.String():  labels.MatchNotEqual,
	labels.MatchRegexp.String():    labels.MatchRegexp,
	labels.MatchNotRegexp.String(): labels.MatchNotRegexp,
}
