package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"mime"
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

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
)

// Prefix is the path below which the handler answers.
const Prefix = "/api/v1"

// Options are the tunables of the handler.
type Options struct {
	// Version and Revision are what status/buildinfo says.
	Version, Revision string
	// Flags is what status/flags shows, and Config, as YAML, what status/config does. They must not hold secrets.
	Flags  map[string]string
	Config string
	// Runtime is what status/runtimeinfo says of the process and cannot find out by itself.
	Runtime Runtime
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

// Runtime is what a process knows of itself.
type Runtime struct {
	// Directory is where it runs.
	Directory string
	// Retention is how long samples are kept if nothing else is said.
	Retention string
	// GOGC and GODEBUG are the variables of these names.
	GOGC, GODEBUG string
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
	// Engine evaluates, Queryable is what it evaluates over (and has exemplars and metadata if it can, as query.Queryable does), Parser the one the engine was made with. All are required.
	Engine    promql.QueryEngine
	Queryable storage.Queryable
	Parser    parser.Parser
	Logger    *slog.Logger // [none]
	// Catalog is what status/catalog shows [nothing, it answers 404].
	Catalog Catalog
	// Memory accounts for answers until they are sent [nobody].
	Memory *query.Gate
	// Gatherer serves status/self_metrics [nothing], Registerer takes the handler's own metrics [none].
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer
	// Started is when the process started [unknown], Now the clock [time.Now].
	Started time.Time
	Now     func() time.Time
}

// New returns the handler of everything below Prefix, and of FederatePath. Requests come with their whole path. opts may be nil.
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
	return &handler{
		router: withSpecification(router, o.Version, c.Logger), timeout: o.Timeout,
		queryable: queryable{c.Queryable}, said: saidBy(c.Queryable), parser: c.Parser, catalog: c.Catalog, memory: c.Memory, now: c.Now, lookback: o.Lookback, config: o.Config,
	}, nil
}

// handler does what comes before Prometheus' handlers, and what they cannot.
type handler struct {
	router  http.Handler
	timeout time.Duration

	queryable storage.Queryable
	said      said // nil if the storage knows nothing of the kind
	parser    parser.Parser
	catalog   Catalog // nil without one
	memory    *query.Gate
	now       func() time.Time
	lookback  time.Duration
	config    string
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if absent(r.URL.Path) {
		respondError(w, http.StatusNotFound, "not_found", fmt.Errorf("%s is not available here", r.URL.Path))
		return
	}
	// Prometheus' handlers parse the form too; the second time it does not report what was wrong.
	if err := parseForm(r); err != nil {
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
	if err == nil {
		ctx, err = withResolution(ctx, r.Form)
	}
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
	h.own(r).ServeHTTP(&unrouted{ResponseWriter: w, r: r}, uncompressed(r.WithContext(ctx)))
}

// formMemory is what a form of parts may hold in memory; the rest of it goes into files. Servers bound forms to less.
const formMemory = 1 << 20

// parseForm reads parameters from the URL and from a form in the body, of either kind.
func parseForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "multipart/form-data" {
		return r.ParseMultipartForm(formMemory)
	}
	return nil
}

// uncompressed takes the wish for compression from a request: whoever mounts the handler compresses, better than Prometheus' handlers do, which know no zstd,
// and bother with answers of a few bytes.
func uncompressed(r *http.Request) *http.Request {
	if r.Header.Get("Accept-Encoding") == "" {
		return r
	}
	r.Header = maps.Clone(r.Header)
	r.Header.Del("Accept-Encoding")
	return r
}

// own returns what answers the request: a page of ours, or Prometheus' handlers.
func (h *handler) own(r *http.Request) http.Handler {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return h.router
	}
	switch {
	case r.URL.Path == FederatePath:
		return http.HandlerFunc(h.federate)
	case r.URL.Path == Prefix+"/metadata" && h.said != nil:
		return http.HandlerFunc(h.metadata)
	case r.URL.Path == Prefix+"/status/config":
		return http.HandlerFunc(h.configStatus)
	case r.URL.Path == Prefix+"/status/tsdb":
		return http.HandlerFunc(h.tsdbStatus)
	case r.URL.Path == Prefix+"/status/catalog" && h.catalog != nil:
		return http.HandlerFunc(h.catalogStatus)
	}
	return h.router
}

// absent reports whether the path is of a part that is switched off for good, which Prometheus' handlers answer with 500.
func absent(path string) bool {
	return strings.HasPrefix(path, Prefix+"/admin/") || strings.HasPrefix(path, Prefix+"/search/")
}

// configStatus answers GET status/config.
func (h *handler) configStatus(w http.ResponseWriter, _ *http.Request) {
	respondData(w, map[string]string{"yaml": h.config})
}

// respondData answers in the envelope of success.
func respondData(w http.ResponseWriter, data any, warnings ...string) {
	w.Header().Set("Content-Type", "application/json")
	// An error here is the client's going away.
	_ = json.NewEncoder(w).Encode(struct {
		Status   string   `json:"status"`
		Data     any      `json:"data"`
		Warnings []string `json:"warnings,omitempty"`
	}{"success", data, warnings})
}

// respondFailure answers an error of one of our own pages with the status that its kind has everywhere.
func respondFailure(w http.ResponseWriter, err error) {
	status, kind := http.StatusUnprocessableEntity, "execution"
	switch {
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		status, kind = http.StatusServiceUnavailable, "timeout"
	case errors.Is(err, context.Canceled):
		status, kind = statusClientGone, "canceled"
	case errors.Is(err, model.ErrInvalid):
		status, kind = http.StatusBadRequest, "bad_data"
	default:
		if s, ok := overrideStatus(0, err); ok {
			status, kind = s, kinds()[s]
		}
	}
	respondError(w, status, kind, err)
}

// Sentence is an error as its reader wants it: without the kind at its end, which the status says.
func Sentence(err error) string {
	text := err.Error()
	for _, kind := range []error{model.ErrInvalid, model.ErrLimit, model.ErrNotFound, model.ErrUnavailable} {
		text = strings.TrimSuffix(text, ": "+kind.Error())
	}
	return text
}

// statusClientGone is for the log and the metrics; nobody is there to read it.
const statusClientGone = 499

// kinds are the error types that go with a status.
func kinds() map[int]string {
	return map[int]string{
		http.StatusBadRequest: "bad_data", http.StatusNotFound: "not_found", http.StatusUnprocessableEntity: "execution", http.StatusTooManyRequests: "too_many_requests",
		http.StatusServiceUnavailable: "unavailable", http.StatusInternalServerError: "internal",
	}
}

func respondBadData(w http.ResponseWriter, err error) {
	respondError(w, http.StatusBadRequest, "bad_data", err)
}

// respondError answers in the envelope that Prometheus' handlers use.
func respondError(w http.ResponseWriter, status int, kind string, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here is the client's going away.
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": Sentence(err)})
}
