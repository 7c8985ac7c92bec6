// Package blocks is the immutable block: its description, its name, and how to build, open,
// select from and verify one.
//
// A [Meta] describes a block and travels in catalogs and in the block's own footer. [Build] writes a
// block from sorted series, hot (package native) or parquet (package parquet); a [Merger] gives it those of several blocks of any format. [Select] answers matchers and a time range with a lazily decoded
// model.Selection, reading through a [RangeReader]: a bucket, a cache in front of it, or the
// bytes of a local file ([Bytes]), with the same code for all.
//
// Blocks of rollups ([Rollup5m], [Rollup1h]) have windows in place of samples: Build takes them as [BuildSeries].Rollup, Select answers with the
// aggregate that [Query] names, and a [RollupReader] streams all of them. Their keys begin with r/, so that nobody takes them for samples.
//
// Nothing here keeps state between calls but a [Cache], which a caller puts between Select and the bucket; everything exported may be used concurrently. A
// Selection pins the bytes it was answered from until Close. What a caller uploads
// and when it counts is the business of catalog and ingester.
package blocks
