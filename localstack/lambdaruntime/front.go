package lambdaruntime

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// Front is the HTTP side of a function: an http.Handler.
type Front struct {
	Function *Function
	// Stream is the invoke mode RESPONSE_STREAM of a function URL; else it is BUFFERED.
	Stream bool
	// Gateway makes it an HTTP API of API Gateway, and Stage that API's stage; "" is $default.
	Gateway bool
	Stage   string
	// Log is told of errors of the function, of which clients learn nothing but that there was one; nil for nobody.
	Log *slog.Logger
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	payload, err := f.event(r)
	if err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		f.message(w, status, err.Error())
		return
	}
	result, err := f.Function.Invoke(r.Context(), payload)
	if err != nil {
		f.failed(w, err)
		return
	}
	defer result.Body.Close() // never fails
	head, body, err := f.open(result)
	if err != nil {
		f.failed(w, err)
		return
	}
	for name, value := range head.Headers {
		w.Header().Set(name, value)
	}
	for _, c := range head.Cookies {
		w.Header().Add("Set-Cookie", c)
	}
	w.WriteHeader(head.StatusCode)
	if err := pass(w, body); err != nil {
		f.log().Error("the answer broke off", "err", err)
		panic(http.ErrAbortHandler)
	}
}

func (f *Front) log() *slog.Logger {
	if f.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return f.Log
}

// failed is what AWS answers when the function fails.
func (f *Front) failed(w http.ResponseWriter, err error) {
	f.log().Error("the function failed", "err", err)
	status, text := http.StatusBadGateway, "Internal Server Error"
	if e, ok := errors.AsType[*Error](err); ok {
		w.Header().Set("X-Amzn-Errortype", e.Type)
	}
	f.message(w, status, text)
}

func (f *Front) message(w http.ResponseWriter, status int, text string) {
	name := "Message"
	if f.Gateway {
		name, text = "message", http.StatusText(status)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{name: text}) // an error is the client's going away
}

// head is what a response says besides its body.
type head struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// open tells head and body of a response.
func (f *Front) open(r *Result) (*head, io.Reader, error) {
	if f.Stream && r.ContentType == StreamType {
		return openStream(r.Body)
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload+1))
	if err != nil {
		return nil, nil, err
	}
	if len(raw) > MaxPayload && !f.Stream {
		return nil, nil, &Error{"Function.ResponseSizeTooLarge", "the response is longer than 6 MiB"}
	}
	h := &head{}
	if err := json.Unmarshal(raw, h); err != nil || h.StatusCode == 0 || f.Stream {
		// No response in payload format 2.0 is a body of its own.
		return &head{StatusCode: http.StatusOK, Headers: map[string]string{"Content-Type": "application/json"}}, bytes.NewReader(raw), nil //nolint:nilerr // so it is a body
	}
	if !h.IsBase64Encoded {
		return h, strings.NewReader(h.Body), nil
	}
	return h, base64.NewDecoder(base64.StdEncoding, strings.NewReader(h.Body)), nil
}

// openStream reads the head, which ends with eight zero bytes.
func openStream(body io.Reader) (*head, io.Reader, error) {
	const maxHead = 64 << 10
	r := bufio.NewReaderSize(body, maxHead)
	raw, err := r.ReadBytes(0)
	if err != nil || len(raw) > maxHead {
		return nil, nil, fmt.Errorf("head of a streamed response: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	if rest, err := r.Peek(7); err != nil || !bytes.Equal(rest, make([]byte, 7)) {
		return nil, nil, fmt.Errorf("head of a streamed response does not end with eight zero bytes: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	if _, err := r.Discard(7); err != nil {
		return nil, nil, err
	}
	h := &head{}
	if err := json.Unmarshal(raw[:len(raw)-1], h); err != nil {
		return nil, nil, fmt.Errorf("head of a streamed response: %w", err)
	}
	if h.StatusCode == 0 {
		h.StatusCode = http.StatusOK
	}
	return h, r, nil
}

// pass copies a body as it comes.
func pass(w http.ResponseWriter, body io.Reader) error {
	buf := make([]byte, 32<<10)
	c := http.NewResponseController(w)
	for {
		n, err := body.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return nil //nolint:nilerr // the client has gone, the function goes on
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		_ = c.Flush() // an error shows at the next write
	}
}
