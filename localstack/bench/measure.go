package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// measure runs the server once over the load and fills the report.
func measure(ctx context.Context, o *options, l *load, r *report, say func(string, ...any)) (err error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return err
	}
	bucketDir := filepath.Join(o.dir, "bucket")
	bucket := o.bucket
	if bucket == "" {
		if err := os.MkdirAll(bucketDir, 0o755); err != nil {
			return fmt.Errorf("make bucket: %w", err)
		}
		bucket = "file://" + bucketDir
	}
	p, err := process.Start(ctx, o.bin, &process.Options{
		Args: o.serveArguments(addr, bucket, filepath.Join(o.dir, "data")),
		Log:  filepath.Join(o.dir, "serve.log"),
	})
	if err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, p.Kill())
		}
	}()
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := p.WaitReady(ready, "http://"+addr+"/-/ready"); err != nil {
		return err
	}
	if err := sendAndCount(ctx, o, p, addr, l, r, say); err != nil {
		return err
	}
	if err := p.Stop(time.Minute); err != nil {
		return err
	}
	stopped = true
	if o.bucket == "" {
		if err := r.weigh(bucketDir); err != nil {
			return err
		}
	}
	metric := o.metric
	if metric == "" {
		metric = l.metric
	}
	return r.coldQuery(ctx, bucket, metric, l.from, l.to)
}

// sendAndCount sends, flushes, waits, and takes the figures of the process on the way.
func sendAndCount(ctx context.Context, o *options, p *process.Process, addr string, l *load, r *report, say func(string, ...any)) error {
	before, err := p.Usage()
	if err != nil {
		return err
	}
	rep, err := l.send(ctx, "http://"+addr+"/api/v1/write")
	if err != nil {
		return err
	}
	answered, err := p.Usage()
	if err != nil {
		return err
	}
	say("answered in %s", rep.wall.Round(time.Millisecond))
	start := time.Now()
	if err := flush(ctx, "http://"+addr+"/api/v1/admin/tsdb/flush"); err != nil {
		return err
	}
	flushed := time.Since(start)
	say("flushed in %s, waiting %s", flushed.Round(time.Millisecond), o.settle)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(o.settle):
	}
	after, err := p.Usage()
	if err != nil {
		return err
	}
	n := float64(l.samples)
	r.SamplesPerCPUSecond = n / (after.CPU - before.CPU).Seconds()
	r.SamplesPerCPUSecondAnswered = n / (answered.CPU - before.CPU).Seconds()
	r.SamplesPerSecond = n / rep.wall.Seconds()
	r.AnswerP50Ms = rep.percentile(0.50).Seconds() * 1000
	r.AnswerP99Ms = rep.percentile(0.99).Seconds() * 1000
	r.Retries = rep.retries
	r.FlushSeconds = flushed.Seconds()
	r.PeakRSSMiB = float64(after.PeakRSS) / (1 << 20)
	return nil
}

func flush(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("flush: %s", resp.Status)
	}
	return nil
}

// weigh adds up the bytes of a directory bucket: blocks, catalogs, and all.
func (r *report) weigh(dir string) error {
	var blocks, catalogs, all int64
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		all += info.Size()
		switch {
		case strings.HasPrefix(rel, "d/"):
			blocks += info.Size()
		case strings.HasPrefix(rel, "t/"):
			catalogs += info.Size()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("weigh bucket: %w", err)
	}
	n := float64(r.Samples)
	r.BucketBytesPerSample = float64(all) / n
	r.BlockBytesPerSample = float64(blocks) / n
	r.CatalogBytesPerSample = float64(catalogs) / n
	return nil
}
