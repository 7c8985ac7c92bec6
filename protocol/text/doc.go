// Package text decodes what exporters expose, Prometheus' text format and OpenMetrics 1.0, into batches: for imports by hand or by
// cron, and for pushes of things that live too short to be scraped.
//
// A [Reader] takes a body of any length in chunks of whole lines and makes a batch of each, so memory is bounded by a chunk, whatever is sent. Lines
// that do not parse are named and left out; the others count. The lines themselves are read by Prometheus' own parser.
//
// Times are in milliseconds in the text format, and in seconds with a fraction in OpenMetrics, read by their digits ([ParseSeconds]), not as Prometheus' parser does; a sample without one gets the time that the
// Reader was given. TYPE, HELP and UNIT become metadata, exemplars of OpenMetrics stay with their series; _created series are series. Labels stay as they
// are written: an le="1" is not made an le="1.0" in the text format.
//
// More is taken than the formats allow, as people write such texts by hand: white space before a line, empty lines, no line end or # EOF at
// the end.
//
// The formats: https://prometheus.io/docs/instrumenting/exposition_formats/ and the OpenMetrics specification 1.0.
package text
