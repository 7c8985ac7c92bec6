package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/model"
)

// client sends requests to one server, and hides its credentials.
type client struct {
	url            *url.URL // without user and password
	user, password string
	// place names the server for people, identity in ids: with the query, which may choose a tenant, or be a secret.
	place, identity string
	http            *http.Client
	stall           time.Duration
}

func newClient(u *url.URL, c *http.Client, stall time.Duration) *client {
	h := &client{url: u, http: c, stall: stall}
	if u.User != nil {
		h.user = u.User.Username()
		h.password, _ = u.User.Password()
		u.User = nil
	}
	h.identity = u.String()
	bare := *u
	bare.RawQuery = ""
	h.place = bare.String()
	return h
}

// failure is an error of a request that is worth another one.
type failure struct {
	// again: the same request may succeed later, after some time if the server says so. tooMuch: one for less may. Both: either.
	again, tooMuch bool
	after          time.Duration
	err            error
}

// Error implements error.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap is what happened, and model.ErrUnavailable.
func (f *failure) Unwrap() []error { return []error{f.err, model.ErrUnavailable} }

// broken is a failure of an answer that began well.
func broken(what string, err error) error {
	return &failure{again: true, err: fmt.Errorf("%s: %w", what, err)}
}

// errStalled: an answer brought next to nothing for too long.
var errStalled = errors.New("it brought next to nothing")

// request is a request, ready to be sent again.
type request struct {
	method string
	url    *url.URL
	body   []byte
	header map[string]string
}

// do sends a request and hands the answer, if it is 200 OK, to use, which reads it to its end. Errors of use are the caller's, those of reading among them are made to failures.
func (h *client) do(ctx context.Context, r *request, use func(resp *http.Response, body io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), bytes.NewReader(r.body))
	if err != nil {
		return fmt.Errorf("request to %s: %w", h.place, model.ErrInvalid)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if h.user != "" || h.password != "" {
		req.SetBasicAuth(h.user, h.password)
	}
	watch := newWatch(h.stall, func() { cancel(errStalled) })
	watch.begin()
	resp, err := h.http.Do(req)
	watch.end(0)
	if err != nil {
		return h.failed(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	body := &watched{ctx: ctx, in: resp.Body, watch: watch}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp, body)
	}
	return use(resp, body)
}

// failed is the error of a request that got no answer, without its URL.
func (h *client) failed(ctx context.Context, err error) error {
	if x := (*url.Error)(nil); errors.As(err, &x) {
		err = x.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, errStalled) {
			return &failure{again: true, tooMuch: true, err: fmt.Errorf("no answer within %v", h.stall)}
		}
		return cause
	}
	return &failure{again: true, err: err}
}

// maxErrorBytes bounds what is read of an answer that tells an error.
const maxErrorBytes = 4 << 10

// tooMuchWords are in the answers of servers to requests that they find too large.
var tooMuchWords = []string{"limit", "too many", "too large", "exceed", "max-", "maximum", "timeout", "timed out", "deadline"}

// refusal is the error for a status that is not 200 OK.
func refusal(resp *http.Response, body io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(body, maxErrorBytes))
	if err != nil {
		text = append(text, " …"...)
	}
	said := firstLine(text, resp.Header.Get("Content-Type"))
	err = fmt.Errorf("HTTP %d %s%s", resp.StatusCode, http.StatusText(resp.StatusCode), said)
	lower := strings.ToLower(said)
	limit := false
	for _, word := range tooMuchWords {
		limit = limit || strings.Contains(lower, word)
	}
	f := &failure{err: err, after: retryAfter(resp.Header.Get("Retry-After"))}
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		f.again = true
	case code == http.StatusRequestEntityTooLarge, code == http.StatusUnprocessableEntity, code == http.StatusBadRequest && limit:
		f.tooMuch = true
	case code == http.StatusGatewayTimeout, code == http.StatusRequestTimeout, code >= 500 && limit:
		f.again, f.tooMuch = true, true
	case code >= 500 && code != http.StatusNotImplemented:
		f.again = true
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w: are the credentials right (--http-config)?", err)
	case code == http.StatusNotFound:
		return fmt.Errorf("%w: is the path of the URL right? %w", err, model.ErrNotFound)
	default:
		return err
	}
	return f
}

// firstLine is the beginning of what a server says, as the end of a message. Pages of HTML are nothing to show.
func firstLine(text []byte, contentType string) string {
	s := strings.TrimSpace(string(text))
	if strings.Contains(contentType, "html") || strings.HasPrefix(s, "<") {
		return ", with a page of HTML"
	}
	s, _, _ = strings.Cut(s, "\n")
	if s == "" {
		return ""
	}
	const most = 300
	return fmt.Sprintf(": %.*q", most, s)
}

// retryAfter is what the header of that name says in seconds. The other form, a date, is not worth a clock.
func retryAfter(s string) time.Duration {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<20 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// ends reports whether the end of an answer can be told from a broken connection.
func ends(resp *http.Response) bool {
	chunked := len(resp.TransferEncoding) > 0
	return resp.ContentLength >= 0 || chunked || resp.Uncompressed || resp.ProtoMajor > 1
}

// errEndless: see ends.
var errEndless = errors.New("the answer has neither a length nor chunks, so nobody knows where it ends: is there an old proxy between?")

// wrongType is the error for an answer that is something else.
func wrongType(resp *http.Response, want string) error {
	return fmt.Errorf("the answer is %.100q, not %s: is it the URL of such a server? %w", resp.Header.Get("Content-Type"), want, model.ErrInvalid)
}
