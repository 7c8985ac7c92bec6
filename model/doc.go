// Package model is the vocabulary that the rooms of Varve share: samples, time
// ranges, days, batches of writes, the two seams [Appender] (write) and
// [Source] (read), and the few kinds of error that some caller treats
// differently.
//
// It does no I/O and starts no goroutines. Labels and matchers are those of
// Prometheus (github.com/prometheus/prometheus/model/labels): one word, one
// type, no conversion at the borders.
//
// Timestamps are milliseconds since the Unix epoch, UTC, and may be negative.
package model
