// Coldstart measures varve-lambda from outside, in the emulated AWS Lambda on one CPU (what AWS gives to 1,769 MB):
//
//   - the size of the binary;
//   - the time from exec until it asks for its first event, the median of -starts starts;
//   - queries over a day of data and the shipped log of a writer that is not asked, each by a new process: time from exec to the whole answer, the
//     requests and rounds that a proxy before the store counted, and what that costs at list prices.
//
// The store is the emulated S3 behind a proxy that adds -latency to each request. The data come from a real server (bin/varve), which goes on
// writing and shipping its log while queries are made; -tail is how long that has been going on by then: 5m20s fills the 64 segments to which readers keep.
// A query is also made by the same process a second time, when its caches are warm: the difference is what a cold one waits and reads for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/varvedb/varve/localstack/emulator"
	"github.com/varvedb/varve/localstack/lambdaruntime"
	"github.com/varvedb/varve/localstack/meter"
)

type options struct {
	bin             string
	starts, queries int
	series          int
	latency, tail   time.Duration
}

func main() {
	o := &options{}
	flag.StringVar(&o.bin, "bin", "bin/varve", "server that makes the data")
	flag.IntVar(&o.starts, "starts", 20, "cold starts to measure")
	flag.IntVar(&o.queries, "queries", 5, "cold runs of each query; the median is shown")
	flag.IntVar(&o.series, "series", 1000, "series, in ten metrics")
	flag.DurationVar(&o.latency, "latency", 30*time.Millisecond, "time that each request to the store takes at least")
	flag.DurationVar(&o.tail, "tail", 30*time.Second, "how long the server has been shipping its log when queries begin")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "varve-coldstart-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "bootstrap")
	if err := lambdaruntime.Build(ctx, program); err != nil {
		return err
	}
	info, err := os.Stat(program)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "binary                 %6.1f MB (%d bytes), want at most 35\n", float64(info.Size())/1e6, info.Size())

	store, err := emulator.Start(ctx, emulator.S3)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	proxy, err := meter.Start(store.Addr(), &meter.Options{Latency: o.latency})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, proxy.Close()) }()
	direct, err := store.Bucket(ctx, "varve")
	if err != nil {
		return err
	}
	b := &bench{options: o, out: out, program: program, env: store.Env, direct: direct, bucket: through(direct, store.Addr(), proxy.Addr()), meter: proxy}
	if err := b.starts(ctx); err != nil {
		return err
	}
	l, err := startLoad(ctx, o, dir, direct, store.Env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	if err := l.history(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "data                   %d series, %d samples in blocks, then %s of a shipped log\n", o.series, l.sent, o.tail)
	return l.while(ctx, o.tail, func() error { return b.measureQueries(ctx) })
}

func median[T any](all []T, less func(a, b T) int) T {
	all = slices.Clone(all)
	slices.SortFunc(all, less)
	return all[len(all)/2]
}
