// Package columnar evaluates the heavy shapes of PromQL on decoded arrays, in parallel, to the same bits as Prometheus' engine.
//
// [New] wraps that engine. Of every query the parts that it knows are taken out before the query runs, and each is replaced by
// a selector of its own, which the storage below answers with what the part evaluates to: a value at each step of
// the query that has one. All around them stays the engine's own work, on small inputs: parsing, binary operators, functions of
// vectors, subqueries, sorting, limits, the queue. A part is
//
//   - a function of a range vector over a selector: rate(m[5m]), max_over_time(m[1h] offset 1d)
//   - an aggregation over such a function, or over a selector: sum by (job) (rate(m[5m])), topk(5, m)
//
// A query that is one part as a whole has its matrix or vector made here too, while the engine runs it over no series.
//
// Whatever else is in a query, and what is inside a subquery, has an @ modifier, or is anchored or smoothed, is left to the engine.
// A part that meets a native histogram gives up, and the engine evaluates the whole query as if this package did not exist.
//
// # Same bits
//
// Floating point addition is not associative, so the same bits take the same operations in the same order. Functions see
// the samples of a window in the order of time, aggregations the series in the order of the storage's answer; neither is ever changed.
// What is gained comes from elsewhere: a series is decoded once into arrays and not walked by an interface, a window costs two
// indices and not a copy, what depends on timestamps alone is computed once for all series that share them, and series are
// evaluated in batches beside one another and then reduced one batch after the other. Where a shortcut is taken (sums of
// integers by differences, maxima by comparing bits block by block) it is one whose result is provably equal. Functions without a
// kernel of their own are the engine's, called on the windows.
//
// # Use
//
// An [Engine] is a promql.QueryEngine, safe for concurrent use. Evaluation ends with the context; workers never outlive the
// call that started them. Series of a storage may offer their columns by implementing [Decoder]; others are read through their iterators.
package columnar
