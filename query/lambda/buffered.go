package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxPayload is the longest buffered response that AWS Lambda takes, in bytes.
const maxPayload = 6 << 20

// recorder is an http.ResponseWriter that keeps the answer, or forgets what would not fit into a response anyway.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
	// limit is how much is kept, 0 for all; size counts what was written.
	limit, size int
}

// Header implements http.ResponseWriter.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.size += len(p)
	if w.limit > 0 && w.size > w.limit {
		w.body = bytes.Buffer{}
		return len(p), nil
	}
	return w.body.Write(p)
}

// buffer gives the answer as one document.
func (f *Function) buffer(ctx context.Context, e *event, answer func(http.ResponseWriter) error) (*Response, error) {
	w := &recorder{header: http.Header{}}
	if f.scratch == nil {
		w.limit = maxPayload
	}
	if err := answer(w); err != nil {
		w = &recorder{header: http.Header{}}
		respond(w, http.StatusInternalServerError, "internal", err.Error())
	}
	w.WriteHeader(http.StatusOK)
	if e.RequestContext.HTTP.Method == http.MethodHead {
		w.body.Reset()
		w.size = 0
	}
	if w.size <= maxPayload {
		doc, err := w.document()
		if err != nil || len(doc) <= maxPayload {
			return &Response{Reader: bytes.NewReader(doc), contentType: "application/json"}, err
		}
	}
	short := f.shorten(ctx, w)
	doc, err := short.document()
	if err != nil {
		return nil, err
	}
	return &Response{Reader: bytes.NewReader(doc), contentType: "application/json"}, nil
}

// document is the answer in payload format 2.0.
func (w *recorder) document() ([]byte, error) {
	d := struct {
		StatusCode      int               `json:"statusCode"`
		Headers         map[string]string `json:"headers"`
		Cookies         []string          `json:"cookies,omitempty"`
		Body            string            `json:"body"`
		IsBase64Encoded bool              `json:"isBase64Encoded"`
	}{StatusCode: w.status}
	d.Headers, d.Cookies = flatten(w.header)
	if body := w.body.Bytes(); w.header.Get("Content-Encoding") == "" && utf8.Valid(body) {
		d.Body = string(body)
	} else {
		d.Body, d.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	var out bytes.Buffer
	out.Grow(len(d.Body) + len(d.Body)/8 + 512)
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("encode response: %w", err)
	}
	return out.Bytes(), nil
}

// flatten gives headers the form of a response: one value each, cookies apart.
func flatten(h http.Header) (headers map[string]string, cookies []string) {
	headers = make(map[string]string, len(h))
	for name, values := range h {
		if name == "Set-Cookie" {
			cookies = values
			continue
		}
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return headers, cookies
}
