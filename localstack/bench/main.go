// Bench measures the built server from outside: it starts bin/varve on an
// empty directory bucket, replays remote write requests that were made
// beforehand with several senders, flushes, and reports
//
//   - samples per CPU-second of the server process, from the first request until everything is flushed
//     and 15 s have passed (work put off is counted too),
//   - samples per second of wall time and the time to answer (p50, p99),
//   - peak resident memory until then,
//   - bytes per sample in the bucket by section: chunks, runs, series pages, postings, footers, catalogs,
//   - CPU and wall time of queries over the last hour, each shifted a little from run to run (over days: -series 1000 -span 168h
//     -interval 1m -query-span 168h -query-step 10m),
//   - stages, requests and bytes of a query that finds every cache empty.
//
// With --days it sends day after day instead, a flush after each, and reports how memory and CPU time change as history grows. With --wire the
// same requests are encoded in other ways that protobuf allows, or that other senders use.
//
// With --peers it then runs Prometheus and VictoriaMetrics, as Debian packages them, on the same
// requests, one after the other, each loaded alone, and prints how they compare. Prometheus flushes by a
// snapshot of its TSDB, which is weighed; VictoriaMetrics by /internal/force_flush, and what lies in data and indexdb after
// its end is weighed. Neither syncs before it answers; Varve does. As root, a missing package is installed; otherwise the run says what it leaves out.
// Servers listen on loopback only and are ended by their process ids.
//
// The figures of one machine are comparable only among themselves; samples per
// CPU-second suffers least from what else is running. The workload depends on
// the seed alone but for its time, which is now (see workload.go), or is read from a file of real samples (--data, see recorded.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

type options struct {
	bin, bucket, dir, serveArgs, data string
	workload                          workloadOptions
	series, senders                   int
	settle                            time.Duration
	json, keep, peers                 bool
	compare                           string
	metric                            string
	wire                              string
	days                              int
}

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.bin, "bin", "bin/varve", "server to measure")
	fs.StringVar(&o.bucket, "bucket", "", "bucket URL; a directory that is removed afterwards if empty")
	fs.StringVar(&o.dir, "dir", "", "working directory (default a temporary one)")
	fs.StringVar(&o.serveArgs, "serve-args", "", "further arguments of serve, separated by spaces")
	fs.StringVar(&o.data, "data", "", "replay this file of recorded samples (JSON lines, zstd) instead of generated ones")
	fs.Int64Var(&o.workload.seed, "seed", 1, "seed of the workload")
	fs.IntVar(&o.series, "series", 100_000, "series at one time, rounded up to whole targets")
	fs.IntVar(&o.workload.metrics, "metrics", 100, "series of a target")
	fs.DurationVar(&o.workload.span, "span", 2*time.Hour, "time that the samples cover, up to now")
	fs.DurationVar(&o.workload.interval, "interval", 15*time.Second, "time between scrapes")
	fs.IntVar(&o.workload.batch, "batch", 5000, "samples of a request")
	fs.Float64Var(&o.workload.churn, "churn", 0.1, "share of the targets that restart under a new pod name in an hour")
	fs.IntVar(&o.senders, "senders", 4, "concurrent senders")
	fs.DurationVar(&o.settle, "settle", 15*time.Second, "time after the flush that still counts")
	fs.DurationVar(&o.workload.querySpan, "query-span", time.Hour, "time that queries are over, at the end of the load")
	fs.DurationVar(&o.workload.queryStep, "query-step", time.Minute, "step of queries")
	fs.BoolVar(&o.peers, "peers", false, "run Prometheus and VictoriaMetrics on the same requests and compare")
	fs.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	fs.BoolVar(&o.keep, "keep", false, "keep the working directory")
	fs.StringVar(&o.compare, "compare", "", "JSON of an earlier run to print beside this one")
	fs.StringVar(&o.metric, "metric", "", "metric of the cold query (default one of the workload)")
	fs.StringVar(&o.wire, "wire", "sorted", "how requests are encoded: sorted, or a list of permuted, shuffled, unknown, extra, wide, swapped (see wire.go)")
	fs.IntVar(&o.days, "days", 0, "send this many days, with a flush after each, and show memory and CPU time as they pass; replaces --span, and without --series and --interval means 2,000 series at 5m")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	w := &o.workload
	if w.querySpan < time.Second || w.queryStep < time.Second {
		return nil, fmt.Errorf("query-span and query-step must be at least 1s")
	}
	if err := o.complete(fs); err != nil {
		return nil, err
	}
	if o.series < 1 || w.metrics < 1 || w.batch < 1 || o.senders < 1 || w.interval < time.Millisecond || w.span < w.interval {
		return nil, fmt.Errorf("series, metrics, batch and senders must be positive, and span at least one interval of 1ms or more")
	}
	w.targets = (o.series + w.metrics - 1) / w.metrics
	return o, nil
}

// complete fills in what follows from other flags.
func (o *options) complete(fs *flag.FlagSet) (err error) {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.days > 0 {
		o.workload.span = time.Duration(o.days) * 24 * time.Hour
		if !given["series"] {
			o.series = 2000
		}
		if !given["interval"] {
			o.workload.interval = 5 * time.Minute
		}
	}
	o.workload.wire, err = parseWire(o.wire)
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil // it was printed
	}
	if err != nil {
		return err
	}
	say := func(format string, a ...any) { fmt.Fprintf(stderr, format+"\n", a...) }
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "varve-bench-"); err != nil {
			return fmt.Errorf("make working directory: %w", err)
		}
	}
	if !o.keep {
		defer os.RemoveAll(o.dir) //nolint:errcheck // a temporary directory that stays is no failure of the measurement
	}
	load, err := makeLoad(o, say)
	if err != nil {
		return err
	}
	r := &report{
		Machine: fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
		Load:    load.name, Samples: load.samples, Series: load.series, Requests: load.requests(),
		WireBytesPerSample: float64(load.bytes) / float64(load.samples),
	}
	if err := measure(ctx, o, load, r, say); err != nil {
		return err
	}
	if o.peers {
		if err := measurePeers(ctx, o, load, r, say); err != nil {
			return err
		}
	}
	if o.json {
		return r.writeJSON(stdout)
	}
	return r.writeTable(stdout, o.compare)
}

// makeLoad encodes all requests before the server starts, so that making them costs the measurement nothing.
func makeLoad(o *options, say func(string, ...any)) (*load, error) {
	start := time.Now()
	var l *load
	var err error
	if o.data != "" {
		l, err = recordedLoad(o.data, o.workload.batch)
	} else {
		l = generatedLoad(&o.workload, o.senders, time.Now())
	}
	if err != nil {
		return nil, err
	}
	if l.samples == 0 {
		return nil, fmt.Errorf("make load: no samples")
	}
	say("%s: %d series, %d samples in %d requests, made in %s", l.name, l.series, l.samples, l.requests(), time.Since(start).Round(time.Millisecond))
	return l, nil
}

// serveArguments are the arguments of serve for this run.
func (o *options) serveArguments(addr, bucket, dataDir string) []string {
	args := []string{"serve", "--listen", addr, "--bucket", bucket, "--data-dir", dataDir, "--self-scrape=false"}
	return append(args, strings.Fields(o.serveArgs)...)
}
