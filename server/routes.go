package server

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/varvedb/varve/cluster/wire"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
	"github.com/varvedb/varve/web"
)

// Paths that the server itself answers.
const (
	pathWrite  = "/api/v1/write"
	pathFlush  = wire.FlushPath
	pathDelete = "/api/v1/admin/tsdb/delete_series"
	pathClean  = "/api/v1/admin/tsdb/clean_tombstones"
	pathAPI    = "/api/v1/"
	// pathFederate is answered by the API as well.
	pathFederate = "/federate"
)

// Paths of snapshots.
const (
	pathSnapshot  = "/api/v1/admin/tsdb/snapshot"
	pathSnapshots = "/api/v1/admin/tsdb/snapshots"
)

// handlerFunc answers a request, or returns the error that the status table turns into an answer.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// routes mounts everything.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	if s.c.Appender != nil {
		mux.Handle(pathWrite, s.route(s.withTenant(s.write), http.MethodPost))
		mux.Handle(pathImport, s.route(s.withTenant(s.importText), http.MethodPost, http.MethodPut))
	}
	if s.c.Flusher != nil {
		mux.Handle(pathFlush, s.route(s.withForm(s.withTenant(s.flush)), http.MethodPost, http.MethodPut))
	}
	if s.c.Snapshots != nil {
		mux.Handle(pathSnapshot, s.route(s.withForm(s.withTenant(s.createSnapshot)), http.MethodPost, http.MethodPut))
		mux.Handle(pathSnapshots, s.route(s.withForm(s.withTenant(s.snapshots)), http.MethodGet, http.MethodDelete))
	}
	if s.c.Deleter != nil {
		mux.Handle(pathDelete, s.route(s.withForm(s.withTenant(s.deleteSeries)), http.MethodPost, http.MethodPut))
		mux.Handle(pathClean, s.route(s.withForm(s.withTenant(s.cleanTombstones)), http.MethodPost, http.MethodPut))
	}
	if s.c.API != nil {
		mux.Handle(pathAPI, s.route(s.withForm(s.withTenant(s.api()))))
		mux.Handle(pathFederate, s.route(s.withForm(s.withTenant(s.api())), http.MethodGet))
	}
	if s.c.Source != nil {
		sel := wire.NewHandler(s.c.Source, &wire.HandlerOptions{CheckTenant: tenant.Check, WriteError: s.fail})
		mux.Handle(wire.Path, s.route(s.withForm(plain(sel)), http.MethodPost))
	}
	if s.c.Gatherer != nil {
		metrics := promhttp.HandlerFor(s.c.Gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: 8, ErrorHandling: promhttp.ContinueOnError})
		mux.Handle("/metrics", s.route(plain(metrics), http.MethodGet))
	}
	mux.Handle("/-/healthy", s.route(s.healthy, http.MethodGet))
	mux.Handle("/-/ready", s.route(s.ready, http.MethodGet))
	if s.opts.Profiling {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	mux.Handle("/", web.Handler(s.route(notFound)))
	return mux
}

// route makes a handler that answers only the given methods (none given: all; GET allows HEAD) and turns errors into answers.
func (s *Server) route(h handlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed(r.Method, methods) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			s.failWith(w, r, http.StatusMethodNotAllowed, fmt.Sprintf("method %.20q is not answered here, use %s", r.Method, strings.Join(methods, " or ")))
			return
		}
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

func allowed(method string, methods []string) bool {
	for _, m := range methods {
		if m == method || m == http.MethodGet && method == http.MethodHead {
			return true
		}
	}
	return len(methods) == 0
}

func plain(h http.Handler) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// api is the read API: its answers are compressed, and may not take for ever to send.
func (s *Server) api() handlerFunc {
	compressed := gzhttp.GzipHandler(s.c.API)
	return func(w http.ResponseWriter, r *http.Request) error {
		// Where there is no connection (tests, self-scrape) there is no deadline either.
		c := http.NewResponseController(w)
		_ = c.SetWriteDeadline(time.Now().Add(s.opts.AnswerTimeout))
		compressed.ServeHTTP(w, r)
		_ = c.SetWriteDeadline(time.Time{})
		return nil
	}
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return fmt.Errorf("nothing is at %.100q; the API is below %s, writes go to %s: %w", r.URL.Path, pathAPI, pathWrite, model.ErrNotFound)
}

// routeName is the route of a request for metrics: a fixed set, whatever is asked.
func routeName(r *http.Request) string {
	if r.Pattern != pathAPI {
		if r.Pattern == "" {
			return "other"
		}
		return r.Pattern
	}
	rest := strings.TrimPrefix(r.URL.Path, pathAPI)
	switch rest {
	case "query", "query_range", "query_exemplars", "series", "labels", "metadata", "read", "rules", "alerts", "targets", "format_query", "parse_query":
		return pathAPI + rest
	}
	switch first, _, _ := strings.Cut(rest, "/"); {
	case first == "label" && strings.HasSuffix(rest, "/values"):
		return pathAPI + "label/{name}/values"
	case first == "status":
		return pathAPI + "status/{what}"
	}
	return pathAPI + "{other}"
}
