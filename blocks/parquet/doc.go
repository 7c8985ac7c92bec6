// Package parquet is the layout of the open block (.parquet): one row a sample, or in rollups one row a window, in a file that any program which reads
// Parquet can read, with Varve's index section and footer between the last row group and the Parquet footer. [Writer] streams
// one out; [Locate] and [Stripe.Decode] take one apart without looking at the Parquet footer. It knows neither bucket nor
// catalog, nor the block's Meta, which package blocks adds; there the end of the object is described.
//
// A Writer is not safe for concurrent use. It keeps the row groups of one range in memory, compressed, and one metric until
// it is known whether that is big: some ten MiB whatever the day. Errors leave rubbish, which the caller discards. Decoded things may be shared.
//
// # Format, version 1
//
//	magic           4 bytes "PAR1"
//	row groups      range by range, within a range window by window
//	index section   see package index: series pages (S), postings head (H), postings pages (P)
//	Meta, trailer   see package blocks
//	Parquet footer  thrift FileMetaData, its length u32 LE, "PAR1"
//
// The version is that of the block's Meta. What follows is said of samples; how rollups differ comes last.
//
// A window is one of the six stretches of four hours of a day. A range is a run of series in the order of the index. It closes
// at the end of a metric once one of its windows has 128 Ki rows. A metric that has so many by itself begins a range and ends one; it is
// cut into several before a window gets more than 1 Mi rows (a single series may have more) or the label texts of a range more than
// 8 MiB. The rows of a window of a range are a row group, sorted by series in the
// order of the index, then by time. So a small metric lies in one row group for each window, and a
// reader of a whole day reads one stretch of the object.
//
// Columns, all required, in their order; every page is compressed with zstd and has a CRC:
//
//	metric          string, dictionary      the metric name
//	labels          string, dictionary      the other labels as a JSON object of strings, names ascending
//	ts              INT64 timestamp(ms, UTC), delta
//	scale           INT32, dictionary       −1: the value is in value; else it is scaled / 10^scale
//	scaled          INT64, delta            where scale is −1 the number before, or 0
//	value           DOUBLE, plain           0 unless scale is −1
//	kind            INT32, dictionary       0 float, 1 float with start, 2 histogram, 3 histogram with start, 4 opaque
//	start           INT64 timestamp(ms)     0 where there is none
//	histogram       BYTE_ARRAY              the message prometheus.Histogram of remote write; for kind 4 all that is known
//	count, sum      DOUBLE                  of the histogram
//	schema          INT32
//	zero_threshold, zero_count  DOUBLE
//
// The quotient scaled / 10^scale of the two numbers as floats is the value to the bit; −0, NaN and infinities are in value. The columns from
// kind on are dictionary-encoded with a single value in row groups that have floats only, and else plain (start: delta). The
// dictionaries of scale and kind are the same in every row group, so that a reader of Varve does not need them: −1, 0 … 15 and 0 … 4.
//
// The columns from ts to value, and from kind to histogram where there are others than floats, are cut into pages
// at the same rows. The pages of such a cut are a stripe: about 32 Ki rows, ending at the end of a series if that
// is near. Page heads are written in one way only (see appendHead), and a reader compares all of it, so a flipped bit anywhere is found.
//
// Delta pages of ts have widths of whole bytes and keep their base from block to block where that costs nothing: scrape jitter that series of
// one target share then repeats byte for byte, and zstd finds it. Pages of scaled have the least widths, or whole bytes where series are
// short: jumps from one series to the next make nearly all widths wide then, and zstd finds the zeros. The base of a block need not
// be its least delta (see appendDelta); readers add modulo 2^64, as the format has it.
//
// Prefix of a series page: where the rows of its series lie.
//
//	windows         u8, bit w set if its series have rows in window w
//	per window:
//	  at            zigzag difference of the offset of the first page of ts to the end of the last page listed before (at first 0)
//	  skips         3 uvarints: bytes between the last listed page of ts, scale, scaled and the first of scale, scaled, value
//	  first         uvarint, row of the first stripe at which the first series begins
//	  stripes       uvarint, at least 1
//	  per stripe    rows << 2 | extras << 1 | doubles uvarint, lengths of the pages of ts, scale, scaled, value uvarint each; doubles
//	                is 1 if a row has scale −1, extras if there are pages of kind, start and histogram
//	  with extras   3 uvarints: bytes between the last listed page of value, kind, start and the first of kind, start, histogram; then
//	                per stripe 3 lengths
//
// Pages of a column follow one another. A listed page need not be used by every series; all rows of the series lie in listed stripes.
//
// Locator of a series: one byte, bit w set if it has rows in window w, then the number of them, uvarint each; or the one
// byte 0: numbers as those of the series before in the page.
//
// # Rollups
//
// A row is a window of a series; ts is its end (see model.WindowEnd). The whole day is one window in the sense of above, so bit 0 is the only one of prefix and
// locators. Instead of scale, scaled and value there are the columns of six numbers, in the order
//
//	last_scale, last_scaled, last_value        likewise for increase, max, min, sum
//	count                                      INT64, delta
//
// with the scheme of samples, but that the dictionary of the scales begins at −3:
//
//	−1  the number is in value
//	−2  there is none: the window ends in a native histogram. scaled is the number before, value 0
//	−3  it follows from last, to the bit: max is last, sum is count · last, increase is last less last of the row before, which is of the same
//	    series and stripe. For counters and constants mostly so; it is used where it is so for three quarters of the rows of a series
//
// Behind them come kind, start and histogram, which belong to last: kind is 2, 3 or 4 where the scales are −2 and else 0. A reader of one aggregate takes
// ts and its columns, for last the three behind where there are histograms, and where rows follow from last those of last too, for sum also count.
//
// The stored columns of a stripe are ts, then all those up to histogram. In the prefix of a series page skips and lengths are those of
// these columns, and the first number of a stripe is
//
//	rows << 13 | extras << 12 | derived << 6 | doubles
//
// where bit a of doubles says that some rows of model.Aggregate a have scale −1, and bit a of derived that some have −3.
//
// A row group consists of parts: the texts (metric, labels), ts, last, increase, max, min, sum, count, and the rest. Meta lists their lengths, so that a
// guess fetches those of one aggregate, and in Refers bit a, whether some rows of it need another part: Last the rest, others Last.
package parquet
