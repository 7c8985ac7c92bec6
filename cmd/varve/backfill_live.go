package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/spf13/pflag"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/live"
)

// liveFlags are those of kinds that are servers.
type liveFlags struct {
	httpConfig string
	requests   int
	refetch    bool
}

func registerLive(f *pflag.FlagSet, o *backfillOptions) {
	f.StringVar(&o.live.httpConfig, "http-config", "", "servers: YAML file with credentials, certificates, headers and proxies, as http_config of Prometheus")
	f.IntVar(&o.live.requests, "requests", 4, "servers: requests under way at one time")
	f.BoolVar(&o.live.refetch, "refetch", false, "servers: ask again for days that were over when they were taken over, for samples that came late")
}

// isServer reports whether an argument is the URL of a server.
func isServer(arg string) bool {
	return strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://")
}

// openRemoteRead opens a server that speaks remote read.
func openRemoteRead(_ context.Context, o *backfillOptions, args []string, skips *migrate.Skips) (migrate.Source, error) {
	return openLive(o, args, skips, live.NewRemoteRead)
}

// openVictoriaServer opens a VictoriaMetrics.
func openVictoriaServer(o *backfillOptions, args []string, skips *migrate.Skips) (migrate.Source, error) {
	return openLive(o, args, skips, live.NewVictoria)
}

func openLive(o *backfillOptions, args []string, skips *migrate.Skips,
	open func(string, *migrate.Skips, *live.Options, live.Components) (*live.Source, error),
) (migrate.Source, error) {
	if len(args) != 1 || !isServer(args[0]) {
		return nil, usagef("want the URL of one server, http:// or https://")
	}
	if o.live.requests < 1 {
		return nil, usagef("--requests must be more than 0")
	}
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	client, err := o.live.client()
	if err != nil {
		return nil, err
	}
	return open(args[0], skips, &live.Options{
		TempDir: o.tempDir, SortBytes: o.sortBytes(), Days: o.parallel, Requests: o.live.requests, Matchers: cfg.Matchers,
	}, live.Components{Client: client, Now: time.Now, Sleep: blob.SystemClock{}.Sleep, Rand: rand.Float64, Retrying: newRetryTeller(os.Stderr).tell})
}

// retryTeller says that something is tried again, for those who wonder why nothing moves: a line every few seconds, whatever the number of requests. Safe for
// concurrent use.
type retryTeller struct {
	w io.Writer

	mu   sync.Mutex // guards next
	next time.Time
}

func newRetryTeller(w io.Writer) *retryTeller { return &retryTeller{w: w} }

// tellEvery is how long nothing more is said after a line.
const tellEvery = 5 * time.Second

func (t *retryTeller) tell(err error, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.After(t.next) {
		t.next = now.Add(tellEvery)
		fmt.Fprintf(t.w, "varve: %v; again in %v\n", err, wait.Round(100*time.Millisecond))
	}
}

// client is what requests are sent with.
func (l *liveFlags) client() (*http.Client, error) {
	cfg := &promconfig.DefaultHTTPClientConfig
	if l.httpConfig != "" {
		var err error
		if cfg, _, err = promconfig.LoadHTTPConfigFile(l.httpConfig); err != nil {
			return nil, usagef("--http-config: %w", err)
		}
	}
	c, err := promconfig.NewClientFromConfig(*cfg, "varve_backfill", promconfig.WithUserAgent("varve-backfill"))
	if err != nil {
		return nil, usagef("--http-config: %w", err)
	}
	return c, nil
}
