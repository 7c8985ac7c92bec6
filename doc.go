// Package varve is Varve as a library: a time-series database in your process that keeps its
// data in a bucket and answers PromQL.
//
// [Open] wires the rooms of one process (ingester, catalog, query) over a bucket and a local data
// directory and returns a [DB]. Append makes samples durable before it returns; queries see them at once. [DB.Run]
// moves them into the bucket as immutable blocks; call it in a goroutine of yours and wait for it before [DB.Close]:
//
//	db, err := varve.Open(ctx, &varve.Options{Bucket: "file:///srv/metrics", DataDir: "/var/lib/app/varve", Openers: …})
//	running := make(chan error, 1)
//	go func() { running <- db.Run(runCtx) }()
//	…
//	stop(); <-running; err = db.Close(ctx)
//
// [DB.Lifecycle] is a worker that merges the small blocks which flushes leave, and deletes what it merged; one process on the bucket at least should run it.
//
// A [Reader] is the reading half alone: [OpenReader] needs a bucket and nothing else, and answers from it without any server.
// It warns for writers whose recent samples are not in the bucket yet.
//
// DB and Reader are safe for concurrent use. What Append has acknowledged survives a crash at any moment; how far it survives the loss of the disk
// is the durability mode's matter (Options.Ingest.Mode). Closing a DB flushes it.
//
// The drivers of buckets are not linked in by this package: name those you need in Options.Openers, for example
// s3.Open of package blob/s3. The package opens no sockets of its own but to other writers of the same bucket, to ask for their
// recent samples; package server makes a DB reachable.
package varve
