package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A replay is what became of sending a load.
type replay struct {
	wall    time.Duration
	answers []time.Duration // ascending
	retries int
}

// percentile returns the answer time that a share of the requests did not exceed.
func (r *replay) percentile(share float64) time.Duration {
	if len(r.answers) == 0 {
		return 0
	}
	return r.answers[min(len(r.answers)-1, int(float64(len(r.answers))*share))]
}

// maxSkewMs is how far, in the time of its samples, a sender gets ahead of the slowest: servers refuse what is too far behind their newest sample.
const maxSkewMs = 2 * 60 * 1000

// A pace keeps the senders of a load together.
type pace struct {
	mu   sync.Mutex
	cond sync.Cond
	at   []int64 // by sender
}

func newPace(senders int) *pace {
	p := &pace{at: make([]int64, senders)}
	p.cond.L = &p.mu
	for i := range p.at {
		p.at[i] = math.MinInt64 / 2
	}
	return p
}

// wait returns when sender i may send what was at a time, or ctx ended.
func (p *pace) wait(ctx context.Context, i int, at int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[i] = at
	p.cond.Broadcast()
	for ctx.Err() == nil && at > slices.Min(p.at)+maxSkewMs {
		p.cond.Wait()
	}
}

// done says that sender i has no more to send.
func (p *pace) done(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[i] = math.MaxInt64 / 2
	p.cond.Broadcast()
}

// wake lets those who wait look again.
func (p *pace) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cond.Broadcast()
}

// send replays the load as fast as the server answers, one request of each sender at a time.
func (l *load) send(ctx context.Context, url string) (*replay, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: len(l.senders), DisableCompression: true}}
	defer client.CloseIdleConnections()
	out := &replay{}
	var mu sync.Mutex // guards out
	var wg sync.WaitGroup
	pace := newPace(len(l.senders))
	defer context.AfterFunc(ctx, pace.wake)()
	start := time.Now()
	for i, requests := range l.senders {
		wg.Go(func() {
			defer pace.done(i)
			answers, retries, err := sendAll(ctx, client, url, requests, func(at int64) { pace.wait(ctx, i, at) })
			if err != nil {
				cancel(err)
			}
			mu.Lock()
			defer mu.Unlock()
			out.answers = append(out.answers, answers...)
			out.retries += retries
		})
	}
	wg.Wait()
	out.wall = time.Since(start)
	slices.Sort(out.answers)
	return out, context.Cause(ctx)
}

func sendAll(ctx context.Context, client *http.Client, url string, requests []request, wait func(at int64)) (answers []time.Duration, retries int, err error) {
	answers = make([]time.Duration, 0, len(requests))
	for _, r := range requests {
		wait(r.at)
		for {
			start := time.Now()
			again, err := sendOne(ctx, client, url, r.body)
			if err != nil {
				return answers, retries, err
			}
			if again == 0 {
				answers = append(answers, time.Since(start))
				break
			}
			retries++
			select {
			case <-ctx.Done():
				return answers, retries, context.Cause(ctx)
			case <-time.After(again):
			}
		}
	}
	return answers, retries, nil
}

// sendOne sends a body. With again > 0 the server asks to send it again after that time.
func sendOne(ctx context.Context, client *http.Client, url string, body []byte) (again time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 500))
	switch {
	case err != nil:
		return 0, fmt.Errorf("send: read answer: %w", err)
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil {
			return 0, fmt.Errorf("send: %s without a usable Retry-After: %s", resp.Status, text)
		}
		return max(time.Duration(seconds)*time.Second, 100*time.Millisecond), nil
	case resp.StatusCode/100 != 2:
		return 0, fmt.Errorf("send: %s: %s", resp.Status, text)
	}
	return 0, nil
}
