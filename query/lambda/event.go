package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/varvedb/varve/model"
)

// event is an HTTP request in payload format 2.0, as far as we look at it.
type event struct {
	Version         string            `json:"version"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	RequestContext  struct {
		DomainName string `json:"domainName"`
		RequestID  string `json:"requestId"`
		Stage      string `json:"stage"`
		HTTP       struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
	} `json:"requestContext"`
}

// parseEvent also takes a test event that somebody typed: method and version may be missing.
func parseEvent(payload []byte) (*event, error) {
	e := &event{}
	if err := json.Unmarshal(payload, e); err != nil {
		return nil, fmt.Errorf("parse event: %w: %w", err, model.ErrInvalid)
	}
	if e.Version != "" && e.Version != "2.0" {
		return nil, fmt.Errorf("parse event: payload format %.20q is not answered here, configure 2.0: %w", e.Version, model.ErrInvalid)
	}
	if !strings.HasPrefix(e.RawPath, "/") {
		return nil, fmt.Errorf("parse event: it has no rawPath, so it is not one of a function URL or of an HTTP API in payload format 2.0: %w", model.ErrInvalid)
	}
	if e.RequestContext.HTTP.Method == "" {
		e.RequestContext.HTTP.Method = http.MethodGet
	}
	return e, nil
}

// fromURL reports that the event is one of a function URL, whose names nobody can choose.
func (e *event) fromURL() bool { return strings.Contains(e.RequestContext.DomainName, ".lambda-url.") }

// limit ends early enough before the invocation does for an answer to be given.
func (e *event) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	left := time.Duration(math.MaxInt64)
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	if !e.fromURL() {
		left = min(left, gatewayPatience)
	}
	return context.WithTimeout(ctx, max(left-answerMargin, left/2))
}

// request is the request that the client made.
func (e *event) request(ctx context.Context) (*http.Request, error) {
	body, err := e.body()
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, e.RequestContext.HTTP.Method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, model.ErrInvalid)
	}
	r.URL = e.url()
	r.RequestURI = r.URL.RequestURI()
	r.Host = e.RequestContext.DomainName
	r.RemoteAddr = e.RequestContext.HTTP.SourceIP
	for name, value := range e.Headers {
		r.Header.Set(name, value)
	}
	if len(e.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	return r, nil
}

func (e *event) body() ([]byte, error) {
	if !e.IsBase64Encoded {
		return []byte(e.Body), nil
	}
	body, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		return nil, fmt.Errorf("body: %w: %w", err, model.ErrInvalid)
	}
	return body, nil
}

// url has the path without the stage of an HTTP API. Function URLs pass paths as they came and API Gateway decodes them: what cannot be
// decoded any more is taken as it stands.
func (e *event) url() *url.URL {
	path := e.RawPath
	if s := e.RequestContext.Stage; s != "" && s != "$default" && !e.fromURL() {
		if rest, ok := strings.CutPrefix(path, "/"+s); ok && (rest == "" || rest[0] == '/') {
			path = "/" + strings.TrimPrefix(rest, "/")
		}
	}
	u := &url.URL{Path: path}
	if decoded, err := url.PathUnescape(path); err == nil {
		u.Path, u.RawPath = decoded, path
	}
	u.RawQuery = e.RawQueryString
	return u
}
