// Package prom reads the blocks and the log of Prometheus, wherever they lie, as a source of a backfill.
package prom
