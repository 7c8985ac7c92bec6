package blocks

import (
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Query says what Select is to find.
type Query struct {
	Range    model.TimeRange
	Matchers []*labels.Matcher
	// Speculation is shared by all blocks of a query: how many bytes of chunks may be fetched along with the series pages, before
	// it is known which of them match. nil is none.
	Speculation *Budget
	// Aggregate is which one a block of rollups answers with: samples are (end of the window, aggregate); Last has native histograms too, Count counts them, and
	// the others leave out windows that end in one. Blocks of raw samples take no notice.
	Aggregate model.Aggregate
	// LabelsOnly leaves the chunks alone: the series have labels but Samples fails.
	LabelsOnly bool
	// Masks hide samples of the block, and series of which nothing is left.
	Masks Masks
	// Stats, if set, is added to.
	Stats *Stats

	scan int64 // maxScan if 0; for tests
}

// Stats adds up what selects found. Safe for concurrent use.
type Stats struct {
	// Series is the number of series, each counted once per block.
	Series atomic.Int64
	// Needed is the length of the compressed pages that hold something selected: a series, a chunk, or a run of timestamps in
	// the section of runs. Postings count as the way to them, which is needed by no answer.
	Needed atomic.Int64
}

// maxScan is how many bytes of series pages are scanned for a metric; beyond that its postings are asked first.
const maxScan = 4 << 20

func (q *Query) scanBytes() int64 {
	if q.scan > 0 {
		return q.scan
	}
	return maxScan
}

// DefaultSpeculation is the budget of a query in bytes.
const DefaultSpeculation = 4 << 20

// Budget is a number of bytes that several goroutines draw from. The nil Budget is empty.
type Budget struct{ left atomic.Int64 }

// NewBudget returns a budget of n bytes.
func NewBudget(n int64) *Budget {
	b := &Budget{}
	b.left.Store(n)
	return b
}

// Take takes n bytes if there are as many.
func (b *Budget) Take(n int64) bool {
	if b == nil {
		return n == 0
	}
	for {
		left := b.left.Load()
		if n > left {
			return false
		}
		if b.left.CompareAndSwap(left, left-n) {
			return true
		}
	}
}
