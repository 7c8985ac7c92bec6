package parquet

import "github.com/varvedb/varve/model"

// Columns by their place in the file. Behind ts come those of the numbers, of samples scale, scaled and value, then those of extras.
const (
	colMetric = iota
	colLabels
	colTs
)

// Extras by their place behind the first of them. Rollups have none but extraColumns.
const (
	extraKind = iota
	extraStart
	extraHistogram
	extraColumns

	extraCount         = extraHistogram + 1
	extraSum           = extraHistogram + 2
	extraSchema        = extraHistogram + 3
	extraZeroThreshold = extraHistogram + 4
	extraZeroCount     = extraHistogram + 5
)

// maxStored is the most stored columns that a kind has.
const maxStored = 2 + 3*(int(model.Aggregates)-1) + extraColumns

// Physical types by their numbers in the Parquet format.
type physical int32

const (
	typeInt32     physical = 1
	typeInt64     physical = 2
	typeDouble    physical = 5
	typeByteArray physical = 6
)

// column describes one column.
type column struct {
	name string
	typ  physical
	// text and time are the logical types STRING and TIMESTAMP(ms, UTC).
	text, time bool
	// enc is the encoding in row groups of floats.
	enc encoding
}

// columns returns the columns in their order.
func (k Kind) columns() []column {
	out := []column{
		{name: "metric", typ: typeByteArray, text: true, enc: encDictionary},
		{name: "labels", typ: typeByteArray, text: true, enc: encDictionary},
		{name: "ts", typ: typeInt64, time: true, enc: encDelta},
	}
	for _, i := range k.inOrder() {
		prefix := ""
		if k == Rollups {
			prefix = model.Aggregate(i).String() + "_"
		}
		if k.lone(i) {
			out = append(out, column{name: model.Aggregate(i).String(), typ: typeInt64, enc: encDelta})
			continue
		}
		out = append(out, column{name: prefix + "scale", typ: typeInt32, enc: encDictionary},
			column{name: prefix + "scaled", typ: typeInt64, enc: encDelta}, column{name: prefix + "value", typ: typeDouble, enc: encPlain})
	}
	out = append(out, column{name: "kind", typ: typeInt32, enc: encDictionary},
		column{name: "start", typ: typeInt64, time: true, enc: encDictionary}, column{name: "histogram", typ: typeByteArray, enc: encDictionary})
	if k == Rollups {
		return out
	}
	return append(out, column{name: "count", typ: typeDouble, enc: encDictionary}, column{name: "sum", typ: typeDouble, enc: encDictionary},
		column{name: "schema", typ: typeInt32, enc: encDictionary}, column{name: "zero_threshold", typ: typeDouble, enc: encDictionary},
		column{name: "zero_count", typ: typeDouble, enc: encDictionary})
}

// extra is the column of the file that an extra is.
func (k Kind) extra(i int) int { return colTs + k.core() + i }

// Kinds of samples, the values of the column kind.
const (
	kindFloat              = 0
	kindFloatStart         = 1
	kindHistogram          = 2
	kindHistogramWithStart = 3
	kindOpaque             = 4
	kinds                  = 5
)

const (
	// WindowMs is the length of a window of samples.
	WindowMs = 4 * 3600 * 1000
	// Windows is how many of them a day has, the most of any kind.
	Windows = 6

	// rangeRows closes a range at the end of a metric, groupRows closes it anywhere.
	rangeRows = 128 << 10
	groupRows = 1 << 20
	// rangeText and rangeBytes bound the label texts and the pages of an open range.
	rangeText  = 8 << 20
	rangeBytes = 32 << 20

	// pendingSeries and pendingBytes bound what is held of a metric until it is known whether it is big.
	pendingSeries = 16 << 10
	pendingBytes  = 32 << 20

	// stripeRows is when a stripe is full; a series that would make more than stripeSlack of it begins a new one.
	stripeRows  = 32 << 10
	stripeSlack = stripeRows + stripeRows/4
	// wholeRows is how many rows a series must have in a stripe on average for the least widths to be smaller than whole bytes.
	wholeRows = 80
	// stripeBytes bounds the histograms of a stripe, but for the last.
	stripeBytes = 1 << 20
	// maxStripe is the most rows that a reader takes.
	maxStripe = 1 << 16
	// maxHistogram bounds one opaque histogram.
	maxHistogram = 4 << 20
)
