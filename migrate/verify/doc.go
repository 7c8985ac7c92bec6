// Package verify compares a source of history with what a backfill has made of it in the bucket, and says whether the live path has taken over since.
//
// [Run] joins two sequences of series in the order of index.Less, day by day: what a job would take of the source (migrate.Selection) and what the bucket has
// (a migrate.Source too). One series of each side is held at a time, so memory does not depend on the input. [Parity] asks both sides the same PromQL. [Cutover] looks at
// the series that were alive at the end of the source, and whether they go on in the bucket.
//
// # What is a difference
//
// Samples are compared by their bits: a stale marker is no other NaN, and 0 is not -0. With a tolerance floats may differ by as much, relative to the larger one; timestamps never may.
// Native histograms are compared by what they mean: schema, zero bucket, buckets, sum and count; how buckets lie in spans is no difference, and of the reset hint
// only whether it is a gauge counts. What the bucket has more is told and is no failure, unless Config.Exact: live writes and other jobs go there too.
// What a job would have left out is not missing: the selection leaves it out as well, and names it.
//
// An error of either side ends the comparison, and its report is not Complete: nothing that was not read to its end is ever called equal.
//
// # What it does not do
//
// It writes nothing. Exemplars and metadata are not compared.
package verify
