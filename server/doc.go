// Package server is Varve over HTTP: listeners, routes, the write endpoint, the
// order of middleware, and the one table from kinds of error to status codes.
//
//	POST     /api/v1/write                 remote write 1.0
//	POST PUT /api/v1/import/prometheus     text format or OpenMetrics, of any length
//	POST PUT /api/v1/admin/tsdb/flush      204 when every memtable is committed
//	POST PUT /api/v1/admin/tsdb/delete_series     204 when what matches is hidden, 202 if writers could not be reached
//	POST PUT /api/v1/admin/tsdb/clean_tombstones  204; what was deleted is removed from the bucket soon
//	         /api/v1/… /federate           the read API (Components.API)
//	POST     /internal/v1/select           what this writer holds, for other queriers (cluster/wire)
//	GET      /-/healthy /-/ready /metrics  for operators
//	GET      /                             the page of package web, and its files
//	GET      /debug/pprof/…                with Options.Profiling
//
// A request passes recover and log (one step, so that a panic is logged like any
// other answer), then the body limits of its route, then the tenant, then its handler. The tenant comes from
// X-Scope-OrgID, is checked there and travels in the context.
//
// A sender cannot make the server allocate by claiming, nor keep others out by being slow: a body counts as it arrives, and when it is
// complete it is admitted to decoding by the size that it declares, against the budgets of all writes in flight (Options.MaxInFlightBytes); who does
// not fit waits a little, then gets 503 and Retry-After.
//
// A [Server] is made by [New], which starts nothing. [Server.Serve] works until its context ends, then refuses new
// requests, answers those it has, and returns; it does not close the components. [Server.Handler] is safe for
// concurrent use and works without Serve.
//
// The package sees a [model.Appender], a [model.Source] and an http.Handler; it cannot tell one node from a cluster. It knows nothing of
// storage, and no TLS or authentication yet: bind it to an address that only trusted peers reach.
package server
