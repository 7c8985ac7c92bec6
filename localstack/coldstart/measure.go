package main

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/localstack/lambdaruntime"
	"github.com/varvedb/varve/localstack/meter"
	"github.com/varvedb/varve/localstack/process"
)

// List prices of AWS in us-east-1, in USD: a GET, a GB-second on x86-64, a request to a function.
const (
	priceGet      = 0.4e-6
	priceGBSecond = 16.6667e-6
	priceRequest  = 0.2e-6
	memoryMB      = 1769
)

// bench is what is measured with.
type bench struct {
	*options
	out            io.Writer
	program        string
	env            []string
	direct, bucket string // the bucket, without and with the proxy
	meter          *meter.Proxy
}

// through is the URL of the bucket by the proxy.
func through(bucket, store, proxy string) string { return strings.Replace(bucket, store, proxy, 1) }

func (b *bench) function() *lambdaruntime.Function {
	return lambdaruntime.New(&lambdaruntime.Options{Program: b.program, Env: append([]string{"VARVE_BUCKET=" + b.bucket}, b.env...), MemoryMB: memoryMB, OneCPU: true, Concurrency: 1})
}

// starts measures until the first request for an event.
func (b *bench) starts(ctx context.Context) (err error) {
	var inits, cpus []time.Duration
	for range b.options.starts {
		f := b.function()
		r, err := f.Invoke(ctx, []byte(`{"rawPath":"/-/ready"}`))
		if err == nil {
			inits = append(inits, r.Init)
			err = r.Body.Close()
		}
		if err == nil {
			var u process.Usage
			u, err = f.Usage()
			cpus = append(cpus, u.CPU)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.out, "exec to first /next    %6.1f ms median of %d (%.1f to %.1f), want at most 200; CPU time until /-/ready is answered %.0f ms\n",
		ms(median(inits, cmp.Compare[time.Duration])), len(inits), ms(slices.Min(inits)), ms(slices.Max(inits)), ms(median(cpus, cmp.Compare[time.Duration])))
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// answer is one query of one process.
type answer struct {
	// total is from exec to the last byte of the answer, init the part of it before the first event, warm the same query once more.
	total, init, warm time.Duration
	// cpu is the process' own time until then, in steps of 10 ms: what total would be, with the waits for the store, were it alone on its CPU.
	cpu           time.Duration
	rss           int64
	bytes, series int
	warnings      []string
	explain       explained
	seen          meter.Counts
}

// explained is what the answer says of itself.
type explained struct {
	Stages int `json:"stages"`
	Gets   int `json:"gets"`
	Kinds  struct {
		Block int `json:"block"`
		Log   int `json:"log"`
	} `json:"gets_by_kind"`
	Samples int64 `json:"samples"`
}

// cost in USD of a cold query: requests to the store, the time of the function from its start on, and the request to it.
func (a *answer) cost() float64 {
	return float64(a.seen.Gets)*priceGet + a.total.Seconds()*memoryMB/1024*priceGBSecond + priceRequest
}

func (b *bench) measureQueries(ctx context.Context) error {
	fmt.Fprintf(b.out, "\n%-28s %8s %7s %6s %7s %7s %7s %6s %6s %5s %9s %8s  %s\n", "cold, store at "+b.latency.String(), "total ms", "init", "CPU", "RSS MiB", "stages", "rounds", "GETs", "log", "MB", "samples", "warm ms", "USD")
	now := time.Now()
	at := func(back time.Duration) string { return strconv.FormatInt(now.Add(-back).Unix(), 10) }
	day := "&start=" + at(24*time.Hour) + "&end=" + at(0) + "&step=60"
	for _, q := range []struct{ name, path string }{
		{"instant, sum", "query?time=" + at(0) + "&query=" + url.QueryEscape(`sum(requests_3_total)`)},
		{"24 h, one series", "query_range?query=" + url.QueryEscape(`requests_3_total{instance="10.0.0.7"}`) + day},
		{"24 h, sum by (rate)", "query_range?query=" + url.QueryEscape(`sum by (job) (rate(requests_3_total[5m]))`) + day},
		{"24 h, ratio of two metrics", "query_range?query=" + url.QueryEscape(`sum(rate(requests_3_total[5m])) / sum(rate(requests_4_total[5m]))`) + day},
	} {
		var all []*answer
		for range b.queries {
			a, err := b.cold(ctx, "/api/v1/"+q.path+"&explain=true")
			if err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			all = append(all, a)
		}
		a := median(all, func(a, b *answer) int { return cmp.Compare(a.total, b.total) })
		fmt.Fprintf(b.out, "%-28s %8.0f %7.0f %6.0f %7d %7d %7d %6d %6d %5.1f %9d %8.0f  %.6f\n",
			q.name, ms(a.total), ms(a.init), ms(a.cpu), a.rss>>20, a.explain.Stages, a.seen.Rounds, a.seen.Gets, a.explain.Kinds.Log, float64(a.seen.Bytes)/1e6, a.explain.Samples, ms(a.warm), a.cost())
		for _, w := range a.warnings {
			fmt.Fprintf(b.out, "    %s\n", w)
		}
	}
	return nil
}

// cold asks a new process, and then the same again.
func (b *bench) cold(ctx context.Context, path string) (a *answer, err error) {
	f := b.function()
	defer func() { err = errors.Join(err, f.Close()) }()
	front := httptest.NewServer(&lambdaruntime.Front{Function: f})
	defer front.Close()
	a = &answer{}
	b.meter.Reset()
	begin := time.Now()
	if err := a.ask(ctx, front.URL+path); err != nil {
		return nil, err
	}
	a.total, a.seen = time.Since(begin), b.meter.Counts()
	a.init = f.LastInit()
	usage, err := f.Usage()
	if err != nil {
		return nil, err
	}
	a.cpu, a.rss = usage.CPU, usage.PeakRSS
	again := &answer{}
	begin = time.Now()
	if err := again.ask(ctx, front.URL+path); err != nil {
		return nil, err
	}
	a.warm = time.Since(begin)
	return a, nil
}

func (a *answer) ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var body io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return err
		}
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %.500s", resp.Status, raw)
	}
	var doc struct {
		Warnings []string `json:"warnings"`
		Data     struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	if len(doc.Data.Result) == 0 {
		return errors.New("the answer is empty")
	}
	a.bytes, a.series, a.warnings = len(raw), len(doc.Data.Result), doc.Warnings
	return json.Unmarshal([]byte(resp.Header.Get("X-Varve-Explain")), &a.explain)
}
