// Package meter is a proxy before an S3 server that counts what a process asks of it, from outside: requests, bytes, and rounds, the
// longest chain of requests of which each began after the one before it had been answered. It adds latency, so that requests
// made side by side overlap; and it can behave like S3 does to credentials that may read objects and nothing else.
//
// Requests pass unchanged, Host included, so that their signatures stay valid with path-style addresses. Each answer is taken in whole
// before its first byte is sent: a request that had to wait for it never begins before its end is noted.
//
// A Proxy is safe for concurrent use. Whoever starts it closes it. Buckets of other kinds than S3 are not understood.
package meter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are the tunables of Start; nil means none of them.
type Options struct {
	// Latency is the time from a request to its answer, at least.
	Latency time.Duration
	// ReadOnly refuses all but reads of objects with 403, and gives the same answer for objects that are missing.
	ReadOnly bool
}

// Counts are what passed since Start or Reset.
type Counts struct {
	// Gets are reads of objects, conditional ones included, Lists of their names; Others are all the rest.
	Gets, Lists, Others int
	// Bytes are those of the bodies of successful answers.
	Bytes int64
	// Rounds is the longest chain of requests of which none overlap: how often somebody waited.
	Rounds int
	// Failed are answers of 500 and more, and of requests that the client gave up.
	Failed int
}

// Proxy is a running proxy.
type Proxy struct {
	backend  string
	opts     Options
	listener net.Listener
	server   *http.Server
	client   *http.Transport
	served   chan error

	mu     sync.Mutex // guards what follows
	counts Counts
	spans  []span
	epoch  int // counts resets
}

type span struct{ from, to time.Time }

// Start starts a proxy on a free port of the loopback before the server at backend, HOST:PORT.
func Start(backend string, opts *Options) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start meter: %w", err)
	}
	p := &Proxy{backend: backend, listener: l, served: make(chan error, 1)}
	if opts != nil {
		p.opts = *opts
	}
	// A connection for each request: servers that close theirs at will would make a reused one fail.
	p.client = &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { p.served <- p.server.Serve(l) }()
	return p, nil
}

// Addr is the host and port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends the proxy and what passes through it.
func (p *Proxy) Close() error {
	err := p.server.Close()
	if serr := <-p.served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}

// Reset begins to count anew. Requests under way are not counted any more.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts, p.spans = Counts{}, nil
	p.epoch++
}

// Counts returns the counts of requests that have ended.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Rounds = rounds(slices.Clone(p.spans))
	return c
}

// rounds is the size of the largest set of spans of which no two overlap.
func rounds(spans []span) (n int) {
	slices.SortFunc(spans, func(a, b span) int { return a.to.Compare(b.to) })
	var last time.Time
	for _, s := range spans {
		if !s.from.Before(last) {
			n, last = n+1, s.to
		}
	}
	return n
}

// ServeHTTP passes a request on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	epoch := p.epoch
	p.mu.Unlock()
	from := time.Now()
	status, header, body, err := p.ask(r)
	if err == nil {
		err = wait(r.Context(), p.opts.Latency-time.Since(from))
	}
	p.note(epoch, r, span{from, time.Now()}, status, len(body), err)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error is the client's going away
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask returns the answer of the server, or of one that allows less.
func (p *Proxy) ask(r *http.Request) (status int, header http.Header, body []byte, err error) {
	if p.opts.ReadOnly && kindOf(r) != get {
		return refused()
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", p.backend, ""
	resp, err := p.client.RoundTrip(out)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, nil, err
	}
	if p.opts.ReadOnly && resp.StatusCode == http.StatusNotFound {
		return refused()
	}
	return resp.StatusCode, resp.Header, body, nil
}

func refused() (int, http.Header, []byte, error) {
	const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`
	return http.StatusForbidden, http.Header{"Content-Type": {"application/xml"}}, []byte(body), nil
}

type kind int

const (
	other kind = iota
	get
	list
)

// kindOf says what a request asks for, by its path /BUCKET/KEY.
func kindOf(r *http.Request) kind {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.Method != http.MethodGet:
		return other
	case key != "":
		return get
	}
	return list
}

func (p *Proxy) note(epoch int, r *http.Request, s span, status, bytes int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch != p.epoch {
		return
	}
	switch kindOf(r) {
	case get:
		p.counts.Gets++
	case list:
		p.counts.Lists++
	default:
		p.counts.Others++
	}
	switch {
	case err != nil || status >= http.StatusInternalServerError:
		p.counts.Failed++
	case status < http.StatusMultipleChoices:
		p.counts.Bytes += int64(bytes)
	}
	p.spans = append(p.spans, s)
}
