// Package live reads servers over HTTP as sources of a backfill: Prometheus' remote read, and the export of VictoriaMetrics.
//
// A [Source] is a migrate.Fetcher. A day is asked for in slices of time, several at once, and what comes is sorted on local disk until the job has taken it over; so the disk holds the days in
// hand and no more. How long a slice is, is found out: longer while the server answers, half of it when it refuses or is slow. A slice that fails on the way is asked for again, from its beginning,
// and what it had brought is dropped: an answer becomes part of the day when it has come to its end. So the two may come from two servers behind a balancer, which have samples of the same series
// at other times.
//
// # What is trusted
//
// Nothing that a server sends: what a frame, a body or a line may take in memory is bounded, frames and bodies have checks of their own, samples outside of the slice are
// dropped, matchers are applied again. An answer counts when its end was seen; one whose end cannot be told from a broken connection is refused.
//
// Credentials of the URL go into the header of requests and nowhere else: names of sources, errors and ids have the URL without them and without its query.
//
// # What it does not do
//
// It does not notice what the server has got, for a day that was over, after that day was taken over (see migrate.Config.Refetch), and takes no exemplars and metadata: the protocols have none.
package live
