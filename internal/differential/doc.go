// Package differential compares Varve's answers with Prometheus' own, bit by bit, on random data and random queries. It has tests only.
//
// Both sides hold the same samples (data_test.go): counters with resets, gauges with every odd value a double can take, classic and native
// histograms, stale markers, gaps, series that come and go, samples that arrive late. Prometheus' side is its TSDB under its engine. Varve's side is
// spread over the memtables of two writers, their flushed blocks and those of a third that has closed (world_test.go), under query.NewEngine; in some
// worlds lifecycle has merged blocks, caches stand before them, or the memtables are read from the writers' shipped logs.
//
// Half of the queries are promqlsmith's (smith_test.go), half are made here (shapes_test.go) so that every shape that query evaluates itself comes up
// often enough. A query is decided by DIFF_SEED and its number, so either replays a difference: DIFF_SEED=s DIFF_ONLY=n. DIFF_QUERIES is how many.
//
// An answer is its value (each bit of each number, each label, the order), its error, and its annotations (compare_test.go). Where Prometheus' own
// answer changes from run to run, as some do that come out of the iteration of a map, any of its answers will do; few may be of that kind.
package differential
