package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/api"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/server"
)

// serve runs a server until ctx ends, then ends it gracefully.
func serve(ctx context.Context, o *serveOptions, e *environment) (err error) {
	log := o.logger(e)
	limitMemory(o)
	if o.bucket == "" {
		if o.bucket, err = o.localBucket(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.dataDir, 0o750); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	// Listening comes first: an address that is taken must not cost a replay, and who asks meanwhile is told so.
	ln, err := (&net.ListenConfig{KeepAlive: time.Minute}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	door := openDoor(ctx, ln, divideMemory(int64(*o.memoryBudget)).connections, log)
	defer func() { err = errors.Join(err, door.close()) }()
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildMetric())
	started := time.Now()
	catalogs, blocks := o.cached()
	db, err := varve.Open(ctx, &varve.Options{
		Bucket: forWriting(o.bucket), Openers: openers(), DataDir: o.dataDir,
		Ingest:           o.ingest(ln.Addr().String()),
		Query:            query.Config{Limits: o.queryLimits.limits(), CatalogCacheBytes: catalogs},
		QueryMemoryBytes: divideMemory(int64(*o.memoryBudget)).queries,
		Cache:            blocks,
		Engine: query.EngineOptions{
			Timeout: time.Duration(*o.queryTimeout), MaxConcurrency: o.queryConcurrency,
			MaxSamples: o.queryMaxSamples, Lookback: time.Duration(*o.queryLookback),
		},
		Logger: log, Registerer: reg,
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		log.Info("ended before it was ready; the next start reads the log again")
		return nil
	}
	if err != nil {
		return err
	}
	log.Info("opened", "writer", db.Writer(), "data_dir", o.dataDir, "bucket", blob.Redact(o.bucket), "took", time.Since(started))
	tidier, err := o.tidier(db, reg, log)
	if err != nil {
		return errors.Join(err, db.Close(ctx))
	}
	srv, err := o.server(db, tidier, reg, log, started)
	if err != nil {
		return errors.Join(err, db.Close(ctx))
	}
	door.Open(srv)
	greet(o, e, ln.Addr().String())
	return o.work(ctx, db, srv, tidier, door, log)
}

// door is a server.Door that serves until it is closed.
type door struct {
	*server.Door
	addr   string
	cancel context.CancelFunc
	closed chan struct{} // closed when Serve has returned err
	err    error
}

// openDoor begins to answer on ln, and goes on until ctx ends or close is called.
func openDoor(ctx context.Context, ln net.Listener, connections int, log *slog.Logger) *door {
	ctx, cancel := context.WithCancel(ctx)
	d := &door{Door: server.NewDoor(log), addr: ln.Addr().String(), cancel: cancel, closed: make(chan struct{})}
	d.Limit(connections)
	go func() {
		defer close(d.closed)
		d.err = d.Serve(ctx, ln)
	}()
	return d
}

// wait returns when nothing is answered any more.
func (d *door) wait() error {
	<-d.closed
	return d.err
}

// close ends what is left after an error; the first wait has told of any of its own.
func (d *door) close() error {
	select {
	case <-d.closed:
		return nil
	default:
	}
	d.cancel()
	return d.wait()
}

// work runs the parts and ends them in order: first no new requests, then no background work, then the flush.
func (o *serveOptions) work(ctx context.Context, db *varve.DB, srv *server.Server, tidier *lifecycle.Lifecycle, door *door, log *slog.Logger) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := db.Run(background); err != nil {
			log.Error("background work ended", "err", err)
		}
	})
	parts.Go(func() {
		paceCollector(background, func() int64 {
			s := db.Status()
			return s.MemoryBytes - s.NamesBytes
		})
	})
	if tidier != nil {
		parts.Go(func() {
			if err := tidier.Run(background); err != nil {
				log.Error("lifecycle ended", "err", err)
			}
		})
	}
	if o.selfScrape {
		s := newSelfScrape(db, srv.Handler(), door.addr, log)
		parts.Go(func() { s.run(background, time.Duration(*o.selfScrapeInterval)) })
	}
	err := door.wait()
	if ctx.Err() != nil {
		log.Info("shutting down: flushing to the bucket; a second signal ends at once")
	}
	stop()
	parts.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(*o.shutdownTimeout))
	defer cancel()
	if closeErr := db.Close(closing); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("shut down (what was acknowledged is safe in %s and is read at the next start): %w", o.dataDir, closeErr))
	} else {
		log.Info("everything is in the bucket")
	}
	return err
}

// tidier is the lifecycle worker of this process, nil if there is to be none. What it holds is a part of the memory budget; of the
// default one, as much as the worker takes at most.
func (o *serveOptions) tidier(db *varve.DB, reg *prometheus.Registry, log *slog.Logger) (*lifecycle.Lifecycle, error) {
	if !o.lifecycle {
		return nil, nil
	}
	output := min(int64(*o.memoryBudget)/16, 96<<20)
	compact := o.compact.settings()
	compact.MaxOutputSeries = output / 192
	return db.Lifecycle(&lifecycle.Config{
		Merge:     lifecycle.MergeSettings{MaxOutputBytes: output, MaxOutputSeries: output / 256},
		ReadBytes: output / 3, Retention: lifecycle.Age(*o.ages.raw), Rollups: lifecycle.Age(*o.ages.rollups), Compact: compact,
	}, lifecycle.Components{Logger: log, Registerer: reg})
}

func (o *serveOptions) server(db *varve.DB, tidier *lifecycle.Lifecycle, reg *prometheus.Registry, log *slog.Logger, started time.Time) (*server.Server, error) {
	b := readBuildInfo()
	memory := divideMemory(int64(*o.memoryBudget))
	reads, err := api.New(&api.Options{
		Version: b.Version, Revision: b.Revision, Timeout: time.Duration(*o.queryTimeout), Lookback: time.Duration(*o.queryLookback),
		Flags: o.shown.all, Config: o.shown.given, Runtime: o.shown.runtime,
	}, api.Components{
		Engine: db.Engine(), Queryable: db.Queryable(), Parser: db.Parser(), Catalog: db.Catalog(), Memory: db.QueryMemory(), Logger: log, Gatherer: reg, Registerer: reg, Started: started,
	})
	if err != nil {
		return nil, err
	}
	return server.New(&server.Options{
		Write: remotewrite.Options{
			// One request must not take more than all of them together may.
			MaxBodyBytes: min(int64(*o.limitBody), memory.writes/4), MaxDecodedBytes: min(int64(*o.limitDecoded), memory.writes/8*3), MaxSeries: o.limitSeries, MaxSamples: o.limitSamples,
			MaxTextBytes: min(32<<20, memory.writes/4),
		},
		MaxInFlightBytes: memory.writes,
		AnswerTimeout:    time.Duration(*o.queryTimeout) + 5*time.Minute,
		Profiling:        o.pprof,
	}, server.Components{
		Appender: db, API: reads, Source: db, Flusher: db, Deleter: &deleter{db, tidier}, Snapshots: snapshotter{db}, Gatherer: reg, Registerer: reg, Logger: log,
		Checks: []server.Check{
			{Name: "writes", Run: func(context.Context) error { return db.Ready() }},
			{Name: "bucket", Run: db.CheckBucket},
		},
	}), nil
}

func buildMetric() prometheus.Collector {
	b := readBuildInfo()
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "varve_build_info", Help: "What this binary was made of; always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": b.Go},
	})
	g.Set(1)
	return g
}

// greet tells a person what to do now.
func greet(o *serveOptions, e *environment, addr string) {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		addr = net.JoinHostPort("localhost", port)
	}
	base := "http://" + addr
	up := `up`
	if !o.selfScrape {
		up = `topk(10, count by (__name__) ({__name__!=""}))`
	}
	fmt.Fprintf(e.out, `
Varve %s listens on %s

  Prometheus writes here; in prometheus.yml:

    remote_write:
      - url: %s/api/v1/write

  Grafana reads here: a data source of type Prometheus with the URL %s

  Try it:

    curl -s %s/api/v1/query --data-urlencode 'query=%s'

  Bucket %s, data directory %s. Ctrl-C flushes and ends.

`, readBuildInfo().Version, base, base, base, base, up, blob.Redact(o.bucket), strings.TrimSuffix(o.dataDir, "/"))
}
