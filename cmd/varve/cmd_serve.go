package main

import (
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/tenant"
)

const serveHelp = `Runs everything in one process: takes remote write, keeps the data in the bucket, answers PromQL.

Without any flag it listens on 127.0.0.1:9009, keeps its data below ./data, and scrapes itself, so that there is
something to query at once. It has no authentication yet: listen on an address that only trusted peers reach.

SIGTERM or SIGINT ends it gracefully: requests in flight are answered, everything is flushed to the bucket. A second signal ends it at once;
nothing acknowledged is lost, the next start reads the log.
`

// serveOptions are the flags of serve.
type serveOptions struct {
	location
	listen, advertise  string
	selfScrape         bool
	selfScrapeInterval *interval
	durability, ship   string
	replaces           []string
	flushEvery         *interval
	detachedReaders    bool
	memoryBudget       *byteSize
	lifecycle          bool
	compact            compactFlags
	ages               ageFlags
	diskBudget         *byteSize
	shutdownTimeout    *interval

	queryTimeout, queryLookback       *interval
	queryConcurrency, queryMaxSamples int
	queryLimits                       queryLimits
	caches                            cacheFlags
	limitBody, limitDecoded           *byteSize
	limitSeries, limitSamples         int

	limitLabels, limitLabelValue, limitActive int

	logLevel, logFormat string
	pprof               bool

	// shown is what the status pages tell of the flags.
	shown shownFlags
}

func newServe(e *environment) *cobra.Command {
	o := &serveOptions{}
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the server", Long: serveHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			shown, err := showFlags(cmd.Flags(), e.env)
			if err != nil {
				return err
			}
			o.shown = shown
			return serve(cmd.Context(), o, e)
		},
	}
	f := cmd.Flags()
	o.location.register(f)
	f.StringVar(&o.listen, "listen", "127.0.0.1:9009", "address to listen on")
	f.StringVar(&o.advertise, "advertise", "", "address at which other processes on the bucket reach this one (default that of --listen, or the host's name)")
	f.BoolVar(&o.selfScrape, "self-scrape", true, "write its own metrics into the tenant default")
	o.selfScrapeInterval = intervalFlag(f, "self-scrape-interval", 15*time.Second, "how often")

	f.StringVar(&o.durability, "durability", "fsync", "when a write is acknowledged: fsync (on the local disk) or object (in the bucket)")
	f.StringVar(&o.ship, "ship", "auto", "copy the log to the bucket: on, off, or auto (on, except to a local directory)")
	f.StringSliceVar(&o.replaces, "replaces", nil, "ids of dead writers whose logs this one adopts")
	o.flushEvery = intervalFlag(f, "flush-every", 2*time.Hour, "longest time until samples become blocks in the bucket")
	f.BoolVar(&o.detachedReaders, "detached-readers", false, "keep the log short for queries that read straight from the bucket; flushes every 5m unless --flush-every is shorter")
	o.memoryBudget = bytesFlag(f, "memory-budget", 2<<30, "memory to aim for: beyond 72MiB for the program half for recent samples, a quarter for writes in flight, an eighth for queries, a sixteenth for caches; also sets the limit of Go's collector unless GOMEMLIMIT is set")
	f.BoolVar(&o.lifecycle, "lifecycle", true, "merge small blocks of the bucket and compact days in the background; false leaves that to other processes (varve lifecycle)")
	o.compact.register(f)
	o.ages.register(f)
	o.diskBudget = bytesFlag(f, "disk-budget", 0, "bytes of log and blocks that may wait in the data directory for the bucket; beyond it writes are refused with 503; 0 is no limit")
	o.shutdownTimeout = intervalFlag(f, "shutdown-timeout", 2*time.Minute, "how long a graceful end may take")

	o.queryTimeout = intervalFlag(f, "query-timeout", 2*time.Minute, "longest time of a query")
	f.IntVar(&o.queryConcurrency, "query-concurrency", 20, "queries evaluated at a time; more wait")
	f.IntVar(&o.queryMaxSamples, "query-max-samples", 50_000_000, "samples that one query may hold in memory")
	o.queryLimits.register(f)
	o.caches.registerServer(f)
	o.queryLookback = intervalFlag(f, "query-lookback", 5*time.Minute, "how old the last sample of a series may be to count as its value")

	o.limitBody = bytesFlag(f, "limit-body", remotewrite.DefaultMaxBodyBytes, "largest write request, compressed; at most a sixteenth of the memory budget")
	o.limitDecoded = bytesFlag(f, "limit-decoded", remotewrite.DefaultMaxDecodedBytes, "largest write request, decompressed; at most about a twelfth of the memory budget")
	f.IntVar(&o.limitSeries, "limit-series", 1_000_000, "most series in a write request")
	f.IntVar(&o.limitSamples, "limit-samples", 2_000_000, "most samples in a write request")
	f.IntVar(&o.limitLabels, "limit-labels", 64, "most labels of a series, its name included")
	f.IntVar(&o.limitLabelValue, "limit-label-value", 8192, "longest value of a label, in bytes")
	f.IntVar(&o.limitActive, "limit-active-series", 0, "most series of a tenant between two flushes; 0 is no limit")

	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.BoolVar(&o.pprof, "pprof", false, "serve profiles at /debug/pprof/")
	return cmd
}

func (o *serveOptions) check() error {
	if _, _, err := net.SplitHostPort(o.listen); err != nil {
		return usagef("--listen: %w", err)
	}
	if o.dataDir == "" {
		return usagef("--data-dir is empty, but it is what makes a writer; without a disk, name a directory in memory and use --durability object")
	}
	for _, err := range []error{
		oneOf("durability", o.durability, string(ingester.ModeFsync), string(ingester.ModeObject)),
		oneOf("ship", o.ship, "auto", "on", "off"),
		oneOf("log-level", o.logLevel, "debug", "info", "warn", "error"),
		oneOf("log-format", o.logFormat, "text", "json"),
	} {
		if err != nil {
			return err
		}
	}
	if *o.memoryBudget < 64<<20 {
		return usagef("--memory-budget is %s, want at least 64MiB", o.memoryBudget)
	}
	if err := o.caches.check(int64(*o.memoryBudget)); err != nil {
		return err
	}
	if err := o.queryLimits.check(); err != nil {
		return err
	}
	if o.durability == string(ingester.ModeObject) && o.ship == "off" {
		return usagef("--durability object acknowledges what is in the bucket, so --ship cannot be off")
	}
	if err := o.ages.check(); err != nil {
		return err
	}
	for _, id := range o.replaces {
		if err := tenant.Check(id); err != nil {
			return usagef("--replaces: %w", err)
		}
	}
	return o.checkNumbers()
}

func (o *serveOptions) checkNumbers() error {
	return checkNumbers(
		flagNumber{"flush-every", int64(*o.flushEvery), 1},
		flagNumber{"self-scrape-interval", int64(*o.selfScrapeInterval), 1},
		flagNumber{"query-timeout", int64(*o.queryTimeout), 1},
		flagNumber{"query-lookback", int64(*o.queryLookback), 1},
		flagNumber{"query-concurrency", int64(o.queryConcurrency), 1},
		flagNumber{"query-max-samples", int64(o.queryMaxSamples), 1},
		flagNumber{"limit-body", int64(*o.limitBody), 1},
		flagNumber{"limit-decoded", int64(*o.limitDecoded), 1},
		flagNumber{"limit-series", int64(o.limitSeries), 1},
		flagNumber{"limit-samples", int64(o.limitSamples), 1},
		flagNumber{"limit-labels", int64(o.limitLabels), 1},
		flagNumber{"limit-label-value", int64(o.limitLabelValue), 1},
		flagNumber{"limit-active-series", int64(o.limitActive), 0},
	)
}

func (o *serveOptions) logger(e *environment) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		level = slog.LevelInfo // check has refused anything else
	}
	h := &slog.HandlerOptions{Level: level}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(e.err, h))
	}
	return slog.New(slog.NewTextHandler(e.err, h))
}

// ingest are the settings of the ingester.
func (o *serveOptions) ingest(bound string) ingester.Config {
	memory := divideMemory(int64(*o.memoryBudget))
	c := ingester.Config{
		Address: o.advertised(bound), Mode: ingester.Mode(o.durability), Replaces: o.replaces,
		RotateAfter: time.Duration(*o.flushEvery), DetachedReaders: o.detachedReaders,
		Memtable:    memtable.Options{MaxLabels: o.limitLabels, MaxValueBytes: o.limitLabelValue, MaxSeries: o.limitActive},
		MemoryBytes: memory.samples, MaxInFlightBytes: memory.writes / 2, DiskBytes: int64(*o.diskBudget),
	}
	if o.ship != "auto" {
		c.Shipping = ingester.Shipping(o.ship)
	}
	if o.detachedReaders && c.RotateAfter > 5*time.Minute {
		c.RotateAfter = 5 * time.Minute
	}
	return c
}

// cached is the memory for catalogs, and what is kept of blocks.
func (o *serveOptions) cached() (catalogs int64, blocks varve.CacheOptions) {
	memory := int64(*o.caches.memory)
	if memory == 0 {
		memory = divideMemory(int64(*o.memoryBudget)).caches
	}
	catalogs = memory / 4
	blocks = o.caches.options(o.bucket, o.dataDir, memory/2)
	blocks.ResultBytes = memory / 4
	return catalogs, blocks
}

// advertised is the address for the roster: what was asked for, else where we listen, with a name of this host in place of
// an address that means all of them.
func (o *serveOptions) advertised(bound string) string {
	if o.advertise != "" {
		return o.advertise
	}
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return bound
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip == nil || ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}
