package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// statuses is the one table from kinds of error to answers; the first row that fits counts.
// retryAfter is in seconds, 0 for none. errorType is what the Prometheus API calls it.
var statuses = []struct {
	kind       error
	status     int
	retryAfter int
	errorType  string
}{
	{errTooLarge, http.StatusRequestEntityTooLarge, 0, "bad_data"},
	{remotewrite.ErrMediaType, http.StatusUnsupportedMediaType, 0, "bad_data"},
	{os.ErrDeadlineExceeded, http.StatusRequestTimeout, 0, "timeout"},
	{model.ErrInvalid, http.StatusBadRequest, 0, "bad_data"},
	{model.ErrNotFound, http.StatusNotFound, 0, "not_found"},
	{model.ErrConflict, http.StatusConflict, 0, "conflict"},
	{model.ErrLimit, http.StatusTooManyRequests, 5, "too_many_requests"},
	{model.ErrUnavailable, http.StatusServiceUnavailable, 5, "unavailable"},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, 5, "timeout"},
	{context.Canceled, statusClientGone, 0, "canceled"},
	{io.ErrUnexpectedEOF, http.StatusBadRequest, 0, "bad_data"},
	{model.ErrCorrupt, http.StatusInternalServerError, 0, "internal"},
	{model.ErrVersion, http.StatusInternalServerError, 0, "internal"},
}

// statusClientGone is for the log and the metrics; nobody is there to read it.
const statusClientGone = 499

// errTooLarge is the kind of a body over a limit.
var errTooLarge = errors.New("too large")

// fail answers an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, errorType, retryAfter := statusOf(err)
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	text := sentence(err)
	if status == http.StatusInternalServerError {
		s.log.Error("request failed", "path", r.URL.Path, "request", requestID(r), "err", err)
	}
	answerError(w, r, status, errorType, text)
	note(w, text)
}

// failWith answers an error that has no kind.
func (s *Server) failWith(w http.ResponseWriter, r *http.Request, status int, text string) {
	answerError(w, r, status, "bad_data", text)
	note(w, text)
}

func statusOf(err error) (status int, errorType string, retryAfter int) {
	var tooLarge *remotewrite.TooLargeError
	var maxBytes *http.MaxBytesError
	if errors.As(err, &tooLarge) || errors.As(err, &maxBytes) {
		err = errTooLarge
	}
	for _, row := range statuses {
		if errors.Is(err, row.kind) {
			return row.status, row.errorType, row.retryAfter
		}
	}
	return http.StatusInternalServerError, "internal", 0
}

// answerError writes the error in the form that the caller of the route reads: JSON as the Prometheus API has it, else a line of text. The answer ends
// the request.
func answerError(w http.ResponseWriter, r *http.Request, status int, errorType, text string) {
	endBody(w, status)
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if strings.HasPrefix(r.URL.Path, pathAPI) && r.URL.Path != pathWrite {
		h.Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(struct {
			Status    string `json:"status"`
			ErrorType string `json:"errorType"`
			Error     string `json:"error"`
		}{"error", errorType, text})
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

// sentence is the error as its reader wants it: without the kind at its end, which the status code says.
func sentence(err error) string {
	text := err.Error()
	for _, kind := range []error{model.ErrInvalid, model.ErrLimit, model.ErrNotFound, model.ErrUnavailable, remotewrite.ErrMediaType, errTooLarge} {
		text = strings.TrimSuffix(text, ": "+kind.Error())
	}
	return text
}

// restOfBody is how long a sender who was refused may take for what it still sends.
const restOfBody = 5 * time.Second

// endBody limits how long the rest of a body is waited for: net/http reads what is left of a short one before it sends the answer, so that clients read it, and
// for one that never comes it would wait as long as the connection is open.
func endBody(w http.ResponseWriter, status int) {
	end := time.Now()
	if status != http.StatusRequestTimeout {
		end = end.Add(restOfBody)
	}
	_ = http.NewResponseController(w).SetReadDeadline(end) // an error: no connection beneath
}
