package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/localstack/process"
)

// A server is a program that takes remote write and answers PromQL.
type server struct {
	name, bin string
	args      []string
	// ready and flush are paths.
	ready, flush string
	// parameters are added to each query.
	parameters url.Values
	dir        string
}

// load starts a server, sends it the load, fills in the figures of ingest and queries, and stops it.
func (s *server) load(ctx context.Context, o *options, addr string, l *load, f *figures, say func(string, ...any)) (err error) {
	p, err := process.Start(ctx, s.bin, &process.Options{Args: s.args, Log: filepath.Join(o.dir, s.name+".log")})
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
	if err := p.WaitReady(ready, "http://"+addr+s.ready); err != nil {
		return err
	}
	if o.days > 0 {
		err = s.sendDays(ctx, p, addr, l, f, say)
	} else {
		err = s.sendAndCount(ctx, o, p, addr, l, f, say)
	}
	if err != nil {
		return err
	}
	for _, q := range l.queries {
		qf, err := s.query(ctx, p, addr, q, l.to)
		if err != nil {
			return err
		}
		f.Queries = append(f.Queries, *qf)
	}
	err = p.Stop(time.Minute)
	stopped = err == nil
	return err
}

// measure runs Varve once over the load and fills the report.
func measure(ctx context.Context, o *options, l *load, r *report, say func(string, ...any)) error {
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
	s := &server{
		name: "varve", bin: o.bin, args: o.serveArguments(addr, bucket, filepath.Join(o.dir, "data")),
		ready: "/-/ready", flush: "/api/v1/admin/tsdb/flush",
	}
	if err := s.load(ctx, o, addr, l, &r.figures, say); err != nil {
		return err
	}
	if o.bucket == "" {
		if err := r.weigh(ctx, bucketDir); err != nil {
			return err
		}
		if r.StoredSamples != l.samples {
			say("%d samples were sent, %d lie in the blocks", l.samples, r.StoredSamples)
		}
	}
	metric := o.metric
	if metric == "" {
		metric = l.metric
	}
	return r.coldQuery(ctx, bucket, metric, l.from, l.to)
}

// sendAndCount sends, flushes, waits, and takes the figures of the process on the way.
func (s *server) sendAndCount(ctx context.Context, o *options, p *process.Process, addr string, l *load, r *figures, say func(string, ...any)) error {
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
	say("%s: answered in %s", s.name, rep.wall.Round(time.Millisecond))
	start := time.Now()
	if err := post(ctx, "http://"+addr+s.flush); err != nil {
		return err
	}
	flushed := time.Since(start)
	say("%s: flushed in %s, waiting %s", s.name, flushed.Round(time.Millisecond), o.settle)
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

func post(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("flush: %s", resp.Status)
	}
	return nil
}

// weigh adds up the bytes of a directory bucket, those of blocks by section.
func (r *report) weigh(ctx context.Context, dir string) error {
	w := &r.sections
	*w = sections{}
	var all, inBlocks, stored, series int64
	err := walk(dir, func(path, rel string, size int64) error {
		all += size
		switch {
		case strings.HasPrefix(rel, "t/"):
			w.Catalogs += float64(size)
			return nil
		case !strings.HasPrefix(rel, "d/"):
			w.Other += float64(size)
			return nil
		}
		inBlocks += size
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m, err := blocks.Open(ctx, blocks.Bytes(data), rel, size)
		if err != nil {
			return err
		}
		stored += m.Samples
		series += m.Series
		w.Chunks += float64(m.Chunks.Length)
		w.Runs += float64(m.Runs.Length)
		w.SeriesPages += float64(m.SeriesPages.Length)
		w.Postings += float64(m.Postings.Length)
		w.Footers += float64(size - m.Chunks.Length - m.Runs.Length - m.SeriesPages.Length - m.Postings.Length)
		return nil
	})
	if err != nil {
		return fmt.Errorf("weigh bucket: %w", err)
	}
	n := float64(stored)
	if stored == 0 {
		return fmt.Errorf("weigh bucket: no sample in its blocks")
	}
	r.StoredSamples = stored
	r.IndexBytesPerSeries = (w.SeriesPages + w.Postings) / float64(series)
	r.BytesPerSample = float64(all) / n
	r.BlockBytesPerSample = float64(inBlocks) / n
	for _, v := range []*float64{&w.Chunks, &w.Runs, &w.SeriesPages, &w.Postings, &w.Footers, &w.Catalogs, &w.Other} {
		*v /= n
	}
	return nil
}

// walk calls visit with every file below dir, its path from there and its size.
func walk(dir string, visit func(path, rel string, size int64) error) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
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
		return visit(path, rel, info.Size())
	})
}
