package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// streamType is the content type of a streamed answer: a JSON document of status and headers, eight zero bytes, the body.
const streamType = "application/vnd.awslambda.http-integration-response"

// streamer is an http.ResponseWriter whose body is read while it is written.
type streamer struct {
	header http.Header
	head   chan []byte // takes the head once
	sent   bool
	body   *io.PipeWriter
}

// errClosed is what a handler gets whose client has gone.
var errClosed = errors.New("the response was closed")

// stream answers as a stream. The handler works until the response is read to its end or closed.
func stream(answer func(http.ResponseWriter) error, cancel context.CancelFunc) *Response {
	body, to := io.Pipe()
	w := &streamer{header: http.Header{}, head: make(chan []byte, 1), body: to}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.finish(answer(w))
	}()
	return &Response{
		Reader:      io.MultiReader(bytes.NewReader(<-w.head), body),
		contentType: streamType,
		close: func() {
			cancel()
			_ = body.CloseWithError(errClosed) // never fails
			<-done
		},
	}
}

// finish ends the stream, as broken if err is not nil: the runtime then tells the client by cutting it off.
func (w *streamer) finish(err error) {
	if err != nil && !w.sent {
		w.header = http.Header{}
		respond(w, http.StatusInternalServerError, "internal", err.Error())
		err = nil
	}
	w.WriteHeader(http.StatusOK)
	_ = w.body.CloseWithError(err) // never fails; nil is the end
}

// Header implements http.ResponseWriter.
func (w *streamer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *streamer) WriteHeader(status int) {
	if w.sent || status < http.StatusOK {
		return
	}
	w.sent = true
	head := struct {
		StatusCode int               `json:"statusCode"`
		Headers    map[string]string `json:"headers"`
		Cookies    []string          `json:"cookies,omitempty"`
	}{StatusCode: status}
	head.Headers, head.Cookies = flatten(w.header)
	doc, _ := json.Marshal(head) // numbers and strings: never fails
	w.head <- append(doc, make([]byte, 8)...)
}

// Write implements http.ResponseWriter.
func (w *streamer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush implements http.Flusher: what was written has been read.
func (w *streamer) Flush() { w.WriteHeader(http.StatusOK) }
