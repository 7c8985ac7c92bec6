// Package export writes what is in a bucket in the forms of others, so that nobody is bound to ours: blocks of Prometheus, OpenMetrics text, lines of JSON as
// VictoriaMetrics takes them, and plain Parquet.
//
// [Run] takes a migrate.Selection, over whatever source, and goes through it day by day. It writes to a name beside the output and gives it its own
// name when everything is there and synced; an output that exists is never touched. What was killed leaves a name with ".varve-export-" in it, and nothing else.
//
// What a form cannot hold (stale markers, native histograms, start timestamps, exemplars, metadata) is left out and counted in [Report].
//
// Memory: samples of one series of a day, and what each form holds, see there: some ten MiB, and for blocks of Prometheus the label values of one
// block, about 150 bytes each.
//
// A target is used by one goroutine. No goroutine outlives a call.
package export
