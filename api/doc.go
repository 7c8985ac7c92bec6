// Package api is Prometheus' HTTP API over a query engine, reads only: Prometheus' own
// handlers of web/api/v1, given our storage.
//
// [New] returns one http.Handler for everything below /api/v1. It answers query, query_range, series, labels, label
// values, read (remote read), format_query, parse_query, metadata, the status pages, and targets, rules and alerts
// as a server without any would. The routes that change something (write, OTLP, admin) are refused here with 404;
// a server mounts its own ahead of this handler.
//
// GET /federate, beside /api/v1, has the last samples for other servers that scrape them. Two pages are our own. status/tsdb counts the series that have samples in a range by metric, label and pair, as Prometheus does of its head; it takes start,
// end, match[] and limit. status/catalog lists the last days of the tenant, or with day=YYYY-MM-DD the blocks of one.
//
// The tenant is in the context of the request when it arrives: who may read what was decided
// before. The form parameter partial_response=true asks for an answer with a warning where a writer cannot be reached or a block is damaged, instead of
// an error. resolution=auto, raw, 5m or 1h says whether rollups may answer in place of raw samples (query.Resolution).
//
// Answers are not compressed: who mounts the handler does that, server and Lambda with gzip and zstd.
//
// With explain=true any call that reads is answered with the header X-Varve-Explain: one line of JSON, the fields of
// query.Explain (stages, gets, lists, bytes_fetched, bytes_needed, cost_usd and more). The body is the same as without.
//
// Errors come in Prometheus' JSON envelope. The status is 400 for a request that is wrong, 422 for a query that
// cannot be executed or exceeds one of its budgets, 429 for a limit of the storage, 503 (error type unavailable or timeout) for what may succeed when asked
// again, 500 for the rest.
//
// The handler is safe for concurrent use, holds no state between requests, and needs no closing.
package api
