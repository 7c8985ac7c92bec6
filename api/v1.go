package api

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/notifications"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// newV1 is the one place that calls v1.NewAPI, whose argument list changes with nearly every release.
func newV1(o *Options, c *Components) (*v1.API, error) {
	origin := regexp.MustCompile(`^$`)
	if o.CORSOrigin != "" {
		var err error
		if origin, err = regexp.Compile("^(?:" + o.CORSOrigin + ")$"); err != nil {
			return nil, fmt.Errorf("compile origin pattern: %w", err)
		}
	}
	flags := o.Flags
	if flags == nil {
		flags = map[string]string{}
	}
	registry := features.NewRegistry()
	c.Parser.RegisterFeatures(registry)
	var none nothing
	conf := config.DefaultConfig
	return v1.NewAPI(
		engine{c.Engine, c.Memory},
		queryable{c.Queryable},
		nil, // appendable: writes are not this package's
		exemplarsOf(c.Queryable),
		func(context.Context) v1.ScrapePoolsRetriever { return none },
		func(context.Context) v1.TargetRetriever { return none },
		func(context.Context) v1.AlertmanagerRetriever { return none },
		func() config.Config { return conf }, // status/config is ours
		flags,
		v1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f }, // readiness is the server's
		none,  // TSDB statistics and admin
		"",    // database directory
		false, // admin
		false, // search
		0,     // search limit
		c.Logger,
		func(context.Context) v1.RulesRetriever { return none },
		o.RemoteReadSampleLimit,
		o.RemoteReadConcurrency,
		1<<20, // bytes of a frame of remote read
		false, // agent
		origin,
		runtimeInfo(c.Started, c.Now, o.Runtime),
		&v1.PrometheusVersion{Version: o.Version, Revision: o.Revision, GoVersion: runtime.Version()},
		func() []notifications.Notification { return []notifications.Notification{} },
		func() (<-chan notifications.Notification, func(), bool) { return nil, nil, false },
		none.withHead(c.Gatherer),
		c.Registerer,
		nil,                 // statistics renderer: the default
		false,               // remote write
		nil,                 // remote write messages
		false, false, false, // OTLP and its delta options
		o.Lookback,
		false, // type and unit labels
		false, // metadata of remote write
		overrideStatus,
		registry,
		v1.OpenAPIOptions{Version: o.Version, IncludePaths: []string{noPaths}},
		c.Parser,
		false, // query cost
		o.Timeout,
	), nil
}

func runtimeInfo(started time.Time, now func() time.Time, of Runtime) func() (v1.RuntimeInfo, error) {
	return func() (v1.RuntimeInfo, error) {
		host, err := os.Hostname()
		if err != nil {
			return v1.RuntimeInfo{}, fmt.Errorf("read host name: %w", err)
		}
		return v1.RuntimeInfo{
			StartTime:           started,
			CWD:                 of.Directory,
			Hostname:            host,
			ServerTime:          now(),
			ReloadConfigSuccess: true,
			LastConfigTime:      started,
			GoroutineCount:      runtime.NumGoroutine(),
			GOMAXPROCS:          runtime.GOMAXPROCS(0),
			GOMEMLIMIT:          debug.SetMemoryLimit(-1),
			GOGC:                of.GOGC,
			GODEBUG:             of.GODEBUG,
			StorageRetention:    of.Retention,
		}, nil
	}
}
