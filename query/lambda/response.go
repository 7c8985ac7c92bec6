package lambda

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// Response is the answer to an event in the form that the runtime sends. The caller reads and closes it.
type Response struct {
	io.Reader
	contentType string
	close       func()
}

// ContentType tells the runtime which form the response has.
func (r *Response) ContentType() string { return r.contentType }

// Close ends the invocation.
func (r *Response) Close() error {
	if r.close != nil {
		r.close()
	}
	return nil
}

// MarshalJSON makes the runtime send what is read and not an encoding of this value.
func (*Response) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a response is read, not encoded")
}

// respond answers in the envelope of Prometheus' API.
func respond(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here is the client's going away.
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": text})
}
