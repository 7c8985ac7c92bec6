// Package acceptance holds Varve's read path, with the real ingester below it, against Prometheus' own acceptance
// suite of PromQL: over a memtable, over flushed blocks, over blocks read cold from a bucket, and over blocks merged to parquet. It has tests only.
package acceptance
