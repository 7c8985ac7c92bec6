// Package promchunk decodes chunks of Prometheus, and its native histograms, into columns: for the sources of a backfill that meet them, in blocks or over the network.
package promchunk
