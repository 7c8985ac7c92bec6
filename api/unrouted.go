package api

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// retryAfter is in how many seconds something that is away, or busy, may be asked again.
const retryAfter = "5"

// unrouted gives requests that the router has no handler for an answer in the envelope of all others, and those that may be asked again a time for that. The router answers a
// bare "404 page not found" as plain text, which no handler behind it does, and has no way to replace it.
type unrouted struct {
	http.ResponseWriter
	r       *http.Request
	replace bool
}

// WriteHeader replaces the router's own refusals.
func (u *unrouted) WriteHeader(status int) {
	bare := u.Header().Get("Content-Type") == "text/plain; charset=utf-8"
	if status == http.StatusServiceUnavailable && u.Header().Get("Retry-After") == "" {
		u.Header().Set("Retry-After", retryAfter)
	}
	if !bare || (status != http.StatusNotFound && status != http.StatusMethodNotAllowed) {
		u.ResponseWriter.WriteHeader(status)
		return
	}
	u.replace = true
	errorType, text := "not_found", fmt.Sprintf("nothing is at %.100q", u.r.URL.Path)
	if status == http.StatusMethodNotAllowed {
		errorType, text = "bad_data", fmt.Sprintf("method %.20q is not answered at %.100q, use %s", u.r.Method, u.r.URL.Path, u.Header().Get("Allow"))
	}
	u.Header().Set("Content-Type", "application/json")
	u.ResponseWriter.WriteHeader(status)
	// An error here is the client's going away.
	_ = json.NewEncoder(u.ResponseWriter).Encode(map[string]string{"status": "error", "errorType": errorType, "error": text})
}

// Write drops the text that was replaced.
func (u *unrouted) Write(b []byte) (int, error) {
	if u.replace {
		return len(b), nil
	}
	return u.ResponseWriter.Write(b)
}

// Flush sends what was written, for streamed remote reads.
func (u *unrouted) Flush() { _ = http.NewResponseController(u.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController reach the connection.
func (u *unrouted) Unwrap() http.ResponseWriter { return u.ResponseWriter }
