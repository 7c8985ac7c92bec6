package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/query"
)

// Prefix is the path below which the handler answers.
const Prefix = "/api/v1"

// Options are the tunables of the handler.
type Options struct {
	// Version and Revision are what status/buildinfo says.
	Version, Revision string
	// Flags is what status/flags shows. It must not hold secrets.
	Flags map[string]string
	// Timeout bounds every call; it should be that of the engine. Default 2 minutes.
	Timeout time.Duration
	// Lookback is the engine's, for the API to tell. Default 5 minutes.
	Lookback time.Duration
	// CORSOrigin is a regular expression, anchored, for origins that browsers may call from. Default none.
	CORSOrigin string
	// RemoteReadSampleLimit bounds the samples of a remote read that is not streamed. Default 50 million.
	RemoteReadSampleLimit int
	// RemoteReadConcurrency bounds the remote reads at a time. Default 10.
	RemoteReadConcurrency int
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Version == "" {
		d.Version = "unknown"
	}
	if d.Timeout <= 0 {
		d.Timeout = 2 * time.Minute
	}
	if d.Lookback <= 0 {
		d.Lookback = 5 * time.Minute
	}
	if d.RemoteReadSampleLimit <= 0 {
		d.RemoteReadSampleLimit = 50_000_000
	}
	if d.RemoteReadConcurrency <= 0 {
		d.RemoteReadConcurrency = 10
	}
	return d
}

// Components are what the handler works with; nil fields get the default in brackets.
type Components struct {
	// Engine evaluates, Queryable is what it evaluates over, Parser the one the engine was made with. All are required.
	Engine    promql.QueryEngine
	Queryable storage.Queryable
	Parser    parser.Parser
	Logger    *slog.Logger // [none]
	// Memory accounts for answers until they are sent [nobody].
	Memory *query.Gate
	// Gatherer serves status/self_metrics [nothing], Registerer takes the handler's own metrics [none].
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer
	// Started is when the process started [unknown], Now the clock [time.Now].
	Started time.Time
	Now     func() time.Time
}

// New returns the handler. Requests come with their whole path, Prefix included. opts may be nil.
func New(opts *Options, c Components) (http.Handler, error) {
	o := opts.withDefaults()
	if c.Logger == nil {
		c.Logger = promslog.NewNopLogger()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Gatherer == nil {
		c.Gatherer = prometheus.NewRegistry()
	}
	v1, err := newV1(&o, &c)
	if err != nil {
		return nil, fmt.Errorf("make api: %w", err)
	}
	v1.ClearCodecs()
	v1.InstallCodec(matrixCodec{})
	router := route.New().WithPrefix(Prefix)
	v1.Register(router)
	return &handler{router: router, timeout: o.Timeout}, nil
}

// handler does what comes before Prometheus' handlers.
type handler struct {
	router  http.Handler
	timeout time.Duration
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if absent(r.URL.Path) {
		respondError(w, http.StatusNotFound, "not_found", fmt.Errorf("%s is not available here", r.URL.Path))
		return
	}
	// Prometheus' handlers parse the form too; the second time it does not report what was wrong.
	if err := r.ParseForm(); err != nil {
		respondBadData(w, fmt.Errorf("error parsing form values: %w", err))
		return
	}
	ctx := r.Context()
	if s := r.Form.Get("partial_response"); s != "" {
		partial, err := strconv.ParseBool(s)
		if err != nil {
			respondBadData(w, fmt.Errorf("invalid parameter %q: %q is neither true nor false", "partial_response", s))
			return
		}
		if partial {
			ctx = query.WithPartialResponse(ctx)
		}
	}
	ctx, err := withSnapshot(ctx, r.Form)
	if err != nil {
		respondBadData(w, err)
		return
	}
	if s := r.Form.Get("explain"); s != "" {
		explain, err := strconv.ParseBool(s)
		if err != nil {
			respondBadData(w, fmt.Errorf("invalid parameter %q: %q is neither true nor false", "explain", s))
			return
		}
		if explain {
			var a *query.Account
			ctx, a = query.WithAccount(ctx)
			e := &explained{ResponseWriter: w, account: a}
			defer e.end()
			w = e
		}
	}
	if r.URL.Path != Prefix+"/notifications/live" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.timeout)
		defer cancel()
	}
	h.router.ServeHTTP(&unrouted{ResponseWriter: w, r: r}, r.WithContext(ctx))
}

// absent reports whether the path is of a part that is switched off for good, which Prometheus' handlers answer with 500.
func absent(path string) bool {
	return strings.HasPrefix(path, Prefix+"/admin/") || strings.HasPrefix(path, Prefix+"/search/")
}

func respondBadData(w http.ResponseWriter, err error) {
	respondError(w, http.StatusBadRequest, "bad_data", err)
}

// respondError answers in the envelope that Prometheus' handlers use.
func respondError(w http.ResponseWriter, status int, kind string, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here is the client's going away.
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": err.Error()})
}
