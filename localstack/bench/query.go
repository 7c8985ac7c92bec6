package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// A query is PromQL to be asked over the end of a load.
type query struct {
	name, expr string
	span, step time.Duration
}

// queryFigures are what one evaluation of a query cost the server.
type queryFigures struct {
	Name   string  `json:"name"`
	Query  string  `json:"query"`
	CPUMs  float64 `json:"cpu_ms"`
	WallMs float64 `json:"wall_ms"`
	// Series is the number of series of the answer.
	Series int `json:"series"`
	Runs   int `json:"runs"`
}

// CPU time comes in steps of 10 ms, so a query is asked until the steps are small beside it.
const (
	enoughCPU = time.Second
	maxRuns   = 20
)

// query asks one query again and again, a second earlier each time, so that no kept answer serves. The first answer is not counted.
func (s *server) query(ctx context.Context, p *process.Process, addr string, q query, toMs int64) (*queryFigures, error) {
	f := &queryFigures{Name: q.name, Query: q.expr}
	ask := func(i int) error {
		end := toMs/1000 - int64(i)
		form := url.Values{
			"query": {q.expr}, "step": {strconv.FormatInt(int64(q.step.Seconds()), 10)},
			"start": {strconv.FormatInt(end-int64(q.span.Seconds()), 10)}, "end": {strconv.FormatInt(end, 10)},
		}
		maps.Copy(form, s.parameters)
		n, err := countSeries(ctx, "http://"+addr+"/api/v1/query_range?"+form.Encode())
		if err != nil {
			return fmt.Errorf("%s: query %s: %w", s.name, q.expr, err)
		}
		f.Series = n
		return nil
	}
	if err := ask(0); err != nil {
		return nil, err
	}
	before, err := p.Usage()
	if err != nil {
		return nil, err
	}
	var cpu time.Duration
	start := time.Now()
	for f.Runs < maxRuns && cpu < enoughCPU {
		f.Runs++
		if err := ask(f.Runs); err != nil {
			return nil, err
		}
		u, err := p.Usage()
		if err != nil {
			return nil, err
		}
		cpu = u.CPU - before.CPU
	}
	f.WallMs = time.Since(start).Seconds() * 1000 / float64(f.Runs)
	f.CPUMs = cpu.Seconds() * 1000 / float64(f.Runs)
	return f, nil
}

// countSeries counts the series of an answer of the Prometheus API.
func countSeries(ctx context.Context, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %.500s", resp.Status, body)
	}
	var answer struct {
		Data struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, err
	}
	return len(answer.Data.Result), nil
}
