// Package bucketed reads history from the bucket of a Thanos, a Mimir or a Cortex: directories of Prometheus blocks, named by ULIDs, with a meta.json that says more than that of
// Prometheus.
//
// [Source] is the one type. Days lists the bucket and reads every meta.json; from them alone it chooses blocks (see choose), and what it leaves out it names. Series brings the blocks of
// its day here and lets prom read them; those that no later day can need are removed by the Series of a later day, or Close. Series of several
// blocks with the same labels are merged, copies by several replicas become one (see Dedup). Nothing is written to the bucket.
//
// Safe as a migrate.Source is: Days once, then Series from several goroutines, Close last. A crash leaves a directory varve-fetch-… behind, which the next Source with the same directory for temporary
// files removes: the lock in it is nobody's any more.
//
// What it does not do: take what the source has not yet uploaded, read downsampled blocks, or notice blocks that come after Days. One that
// goes meanwhile, as it was compacted into another, ends the job; the next one finds that other.
package bucketed
