package lambdaruntime

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// StreamType is the content type of a streamed response to a function URL.
const StreamType = "application/vnd.awslambda.http-integration-response"

// MaxPayload is the longest request, and the longest response that is not a stream.
const MaxPayload = 6 << 20

// routes is the Runtime API of version 2018-06-01.
func (in *instance) routes() http.Handler {
	mux := http.NewServeMux()
	const at = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+at+"invocation/next", in.next)
	mux.HandleFunc("POST "+at+"invocation/{id}/response", in.response)
	mux.HandleFunc("POST "+at+"invocation/{id}/error", in.failure)
	mux.HandleFunc("POST "+at+"init/error", func(w http.ResponseWriter, r *http.Request) {
		select {
		case in.initErr <- readError(r):
		default:
		}
		w.WriteHeader(http.StatusAccepted)
	})
	return mux
}

// next gives the program its next event, as soon as there is one.
func (in *instance) next(w http.ResponseWriter, r *http.Request) {
	select {
	case <-in.ready:
	default:
		in.asked = time.Now()
		close(in.ready)
	}
	select {
	case <-r.Context().Done():
	case inv := <-in.work:
		in.mu.Lock()
		in.current = inv
		in.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:varve")
		_, _ = w.Write(inv.payload) // the program will ask again, or be killed
	}
}

// answered returns the invocation that the request is about, once: a second answer is refused.
func (in *instance) answered(w http.ResponseWriter, r *http.Request) *invocation {
	in.mu.Lock()
	defer in.mu.Unlock()
	inv := in.current
	if inv == nil || inv.id != r.PathValue("id") {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no such invocation is under way")
		return nil
	}
	in.current = nil
	return inv
}

func (in *instance) response(w http.ResponseWriter, r *http.Request) {
	inv := in.answered(w, r)
	if inv == nil {
		return
	}
	contentType := r.Header.Get("Content-Type")
	if contentType == StreamType {
		inv.reply <- reply{contentType: contentType, body: &streamed{r}}
		<-inv.read
		w.WriteHeader(http.StatusAccepted)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload+1))
	switch {
	case err != nil:
		inv.reply <- reply{err: &Error{"Runtime.TruncatedResponse", err.Error()}}
	case len(body) > MaxPayload:
		e := &Error{"Function.ResponseSizeTooLarge", "the response is longer than 6 MiB"}
		inv.reply <- reply{err: e}
		refuse(w, http.StatusRequestEntityTooLarge, e.Type, e.Message)
		return
	default:
		inv.reply <- reply{contentType: contentType, body: bytes.NewReader(body)}
	}
	w.WriteHeader(http.StatusAccepted)
}

// streamed is a response as it comes. That it was broken off stands in its trailer.
type streamed struct{ r *http.Request }

func (s *streamed) Read(p []byte) (int, error) {
	n, err := s.r.Body.Read(p)
	if errors.Is(err, io.EOF) {
		if kind := s.r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); kind != "" {
			return n, &Error{kind, "the function broke its response off"}
		}
	}
	return n, err
}

func (in *instance) failure(w http.ResponseWriter, r *http.Request) {
	if inv := in.answered(w, r); inv != nil {
		inv.reply <- reply{err: readError(r)}
		w.WriteHeader(http.StatusAccepted)
	}
}

func readError(r *http.Request) *Error {
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&e); err != nil {
		return &Error{"Runtime.Unknown", err.Error()}
	}
	return &Error{e.ErrorType, e.ErrorMessage}
}

func refuse(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"errorType": kind, "errorMessage": text}) // the program will notice
}
