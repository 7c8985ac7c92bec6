package parquet

import "github.com/varvedb/varve/internal/decimal"

// Columns by their place in the file.
const (
	colMetric = iota
	colLabels
	colTs
	colScale
	colScaled
	colValue
	colKind
	colStart
	colHistogram
	colCount
	colSum
	colSchema
	colZeroThreshold
	colZeroCount
	columns
)

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
}

// schema returns the columns in their order.
func schema() [columns]column {
	return [columns]column{
		colMetric:        {name: "metric", typ: typeByteArray, text: true},
		colLabels:        {name: "labels", typ: typeByteArray, text: true},
		colTs:            {name: "ts", typ: typeInt64, time: true},
		colScale:         {name: "scale", typ: typeInt32},
		colScaled:        {name: "scaled", typ: typeInt64},
		colValue:         {name: "value", typ: typeDouble},
		colKind:          {name: "kind", typ: typeInt32},
		colStart:         {name: "start", typ: typeInt64, time: true},
		colHistogram:     {name: "histogram", typ: typeByteArray},
		colCount:         {name: "count", typ: typeDouble},
		colSum:           {name: "sum", typ: typeDouble},
		colSchema:        {name: "schema", typ: typeInt32},
		colZeroThreshold: {name: "zero_threshold", typ: typeDouble},
		colZeroCount:     {name: "zero_count", typ: typeDouble},
	}
}

// Kinds of samples, the values of the column kind.
const (
	kindFloat              = 0
	kindFloatStart         = 1
	kindHistogram          = 2
	kindHistogramWithStart = 3
	kindOpaque             = 4
	kinds                  = 5
)

// scales is the size of the dictionary of the column scale: −1 to decimal.MaxScale.
const scales = decimal.MaxScale + 2

const (
	// WindowMs is the length of a window.
	WindowMs = 4 * 3600 * 1000
	// Windows is how many of them a day has.
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
	// stripeBytes bounds the histograms of a stripe, but for the last.
	stripeBytes = 1 << 20
	// maxStripe is the most rows that a reader takes.
	maxStripe = 1 << 16
	// maxHistogram bounds one opaque histogram.
	maxHistogram = 4 << 20
)
