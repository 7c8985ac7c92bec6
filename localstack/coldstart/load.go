package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/localstack/process"
)

// load is a server and what it is sent.
type load struct {
	o       *options
	process *process.Process
	url     string
	sent    int
	began   time.Time
}

// interval is that of the samples of a series.
const interval = 15 * time.Second

func startLoad(ctx context.Context, o *options, dir, bucket string, env []string) (*load, error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return nil, err
	}
	l := &load{o: o, url: "http://" + addr, began: time.Now()}
	l.process, err = process.Start(ctx, o.bin, &process.Options{
		Args: []string{"serve", "--listen", addr, "--bucket", bucket, "--data-dir", filepath.Join(dir, "data"), "--self-scrape=false", "--detached-readers", "--lifecycle=false"},
		Env:  env, Log: filepath.Join(dir, "log"),
	})
	if err != nil {
		return nil, err
	}
	if err := l.process.WaitReady(ctx, l.url+"/-/ready"); err != nil {
		return nil, errors.Join(err, l.process.Kill())
	}
	return l, nil
}

func (l *load) stop() error { return l.process.Kill() }

// history sends a day up to now, with a flush every two hours.
func (l *load) history(ctx context.Context) error {
	const flushes = 12
	end := l.began.Truncate(interval)
	at := end.Add(-24 * time.Hour)
	for flush := range flushes {
		until := end.Add(-24*time.Hour + time.Duration(flush+1)*24*time.Hour/flushes)
		for ; at.Before(until); at = at.Add(20 * interval) {
			if err := l.send(ctx, at, 20); err != nil {
				return err
			}
		}
		if err := l.post(ctx, "/api/v1/admin/tsdb/flush", nil, http.StatusNoContent); err != nil {
			return err
		}
	}
	return nil
}

// send sends the next samples of each series from a time on.
func (l *load) send(ctx context.Context, from time.Time, samples int) error {
	req := &prompb.WriteRequest{}
	for i := range l.o.series {
		s := prompb.TimeSeries{Labels: []prompb.Label{
			{Name: "__name__", Value: fmt.Sprintf("requests_%d_total", i%10)},
			{Name: "instance", Value: "10.0.0." + strconv.Itoa(i/10)},
			{Name: "job", Value: "job-" + strconv.Itoa(i/10%5)},
		}}
		for k := range samples {
			t := from.Add(time.Duration(k) * interval).UnixMilli()
			s.Samples = append(s.Samples, prompb.Sample{Timestamp: t, Value: float64(t/1000%1_000_000*int64(1+i%7) + int64(i))})
		}
		req.Timeseries = append(req.Timeseries, s)
	}
	raw, err := req.Marshal()
	if err != nil {
		return err
	}
	l.sent += samples * l.o.series
	return l.post(ctx, "/api/v1/write", snappy.Encode(nil, raw), http.StatusNoContent)
}

func (l *load) post(ctx context.Context, path string, body []byte, want int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-protobuf")
		req.Header.Set("Content-Encoding", "snappy")
		req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 500))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode/100 != want/100 {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	return nil
}

// while sends a sample of each series every few seconds, as a scraper does, and calls fn after some time of that.
func (l *load) while(ctx context.Context, tail time.Duration, fn func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				failed <- nil
				return
			case now := <-tick.C:
				if err := l.send(ctx, now, 1); err != nil && ctx.Err() == nil {
					failed <- err
					return
				}
			}
		}
	}()
	var err error
	select {
	case <-time.After(tail):
		err = fn()
	case <-ctx.Done():
		err = ctx.Err()
	}
	cancel()
	return errors.Join(err, <-failed)
}
