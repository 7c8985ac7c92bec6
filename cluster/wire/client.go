package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// ClientOptions are the settings of a Client; nil means the defaults.
type ClientOptions struct {
	// Timeout bounds one Select. Default 30 s.
	Timeout time.Duration
	// MaxBytes bounds the memory of one answer; beyond it Select fails with model.ErrLimit. Default 1 GiB.
	MaxBytes int64
	// HTTP makes the requests. Share one among the clients of a process. Default: NewHTTPClient().
	HTTP *http.Client
}

// NewHTTPClient returns a client that gives up on a dead host within three seconds and follows no redirects.
func NewHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   3 * time.Second,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       90 * time.Second,
			ExpectContinueTimeout: time.Second,
			DisableCompression:    true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Client is the source of one writer across the network. Safe for concurrent use.
type Client struct {
	url    string
	writer string
	opts   ClientOptions
}

// NewClient returns a source that asks the writer at its address in the roster: "host:port", or a URL for TLS or a path prefix.
func NewClient(writer, address string, opts *ClientOptions) (*Client, error) {
	c := &Client{writer: writer}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Timeout <= 0 {
		c.opts.Timeout = 30 * time.Second
	}
	if c.opts.MaxBytes <= 0 {
		c.opts.MaxBytes = 1 << 30
	}
	if c.opts.HTTP == nil {
		c.opts.HTTP = NewHTTPClient()
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("address %.100q of writer %s is no host:port or URL: %w", address, writer, model.ErrInvalid)
	}
	c.url = u.JoinPath(Path).String()
	return c, nil
}

// Writer implements model.Source.
func (c *Client) Writer() string { return c.writer }

// Select implements model.Source. An address that doesn't answer, or answers for another writer, is model.ErrUnavailable.
func (c *Client) Select(ctx context.Context, tenant string, r model.TimeRange, matchers []*labels.Matcher) (*model.Selection, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	a, err := c.ask(ctx, tenant, r, matchers)
	if err != nil {
		return nil, fmt.Errorf("select from writer %s at %s: %w", c.writer, c.url, err)
	}
	s := &model.Selection{Series: make([]model.Series, len(a.series)), Warnings: a.warnings}
	for i, one := range a.series {
		s.Series[i] = one
	}
	return s, nil
}

func (c *Client) ask(ctx context.Context, tenant string, r model.TimeRange, matchers []*labels.Matcher) (*answer, error) {
	body, err := encodeRequest(tenant, r, matchers)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.opts.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, model.ErrUnavailable)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp)
	}
	if ct := resp.Header.Get("Content-Type"); ct != ContentType {
		return nil, fmt.Errorf("answer of type %.60q, want %s; is this address a Varve server? %w", ct, ContentType, model.ErrUnavailable)
	}
	a, err := decodeAnswer(resp.Body, c.opts.MaxBytes)
	if err != nil {
		return nil, err
	}
	if a.writer != c.writer {
		return nil, fmt.Errorf("the address answers for writer %.64q now: %w", a.writer, model.ErrUnavailable)
	}
	return a, nil
}

func statusError(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
	kind := model.ErrUnavailable
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		kind = model.ErrLimit
	case resp.StatusCode == http.StatusBadRequest:
		kind = model.ErrInvalid
	}
	return fmt.Errorf("status %d: %s: %w", resp.StatusCode, strings.TrimSpace(string(text)), kind)
}

// series is a series of an answer, whole in memory.
type series struct {
	labels  labels.Labels
	columns model.Columns
}

// Labels implements model.Series.
func (s *series) Labels() labels.Labels { return s.labels }

// MemoryBytes is what the samples take.
func (s *series) MemoryBytes() (n int64) {
	n = int64(cap(s.columns.T)) * 16
	for _, h := range s.columns.H {
		n += 24 + int64(len(h))
	}
	return n
}

// Samples implements model.Series.
func (s *series) Samples(dst *model.Columns, r model.TimeRange) error {
	c := &s.columns
	first := sort.Search(c.Len(), func(i int) bool { return c.T[i] >= r.MinMs })
	for i := first; i < c.Len() && c.T[i] <= r.MaxMs; i++ {
		if c.H != nil && c.H[i] != nil {
			dst.AppendHistogram(c.T[i], c.H[i])
		} else {
			dst.Append(c.T[i], c.V[i])
		}
	}
	return nil
}
