// Package acceptance holds Varve's read path, with the real ingester below it, against Prometheus' own acceptance
// suite of PromQL: over a memtable, over flushed blocks, over blocks read cold from a bucket, over blocks merged to parquet, and as a Lambda reads: blocks and the log in the
// bucket. Each query is asked over the HTTP API too, and its JSON compared with that of the result. It has tests only.
package acceptance
