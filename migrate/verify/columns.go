package verify

import (
	"fmt"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varvedb/varve/model"
)

// columnsSet implements storage.SeriesSet.
type columnsSet struct {
	all []*columnsSeries
	at  int
}

// Next implements storage.SeriesSet.
func (s *columnsSet) Next() bool {
	s.at++
	return s.at < len(s.all)
}

// At implements storage.SeriesSet.
func (s *columnsSet) At() storage.Series { return s.all[s.at] }

// Err implements storage.SeriesSet.
func (s *columnsSet) Err() error { return nil }

// Warnings implements storage.SeriesSet.
func (s *columnsSet) Warnings() annotations.Annotations { return nil }

// columnsSeries implements storage.Series over decoded samples.
type columnsSeries struct {
	labels  labels.Labels
	columns model.Columns
}

// Labels implements storage.Labels.
func (s *columnsSeries) Labels() labels.Labels { return s.labels }

// Iterator implements storage.SampleIterable.
func (s *columnsSeries) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return &columnsIterator{c: &s.columns, i: -1}
}

// columnsIterator implements chunkenc.Iterator.
type columnsIterator struct {
	c   *model.Columns
	i   int
	now rich // the sample at i, if it is more than a float
	err error
}

// Next implements chunkenc.Iterator.
func (it *columnsIterator) Next() chunkenc.ValueType {
	if it.err != nil || it.i >= it.c.Len() {
		return chunkenc.ValNone
	}
	it.i++
	return it.load()
}

// Seek implements chunkenc.Iterator.
func (it *columnsIterator) Seek(t int64) chunkenc.ValueType { //nolint:govet // the name is the interface's, not io.Seeker's
	if it.err != nil || it.i >= it.c.Len() {
		return chunkenc.ValNone
	}
	it.i = max(it.i, 0)
	rest := it.c.T[it.i:]
	it.i += sort.Search(len(rest), func(n int) bool { return rest[n] >= t })
	return it.load()
}

// load says what there is at the position, which may be the end.
func (it *columnsIterator) load() chunkenc.ValueType {
	it.now = rich{}
	switch {
	case it.i >= it.c.Len():
		return chunkenc.ValNone
	case histogramAt(it.c, it.i) == nil:
		it.now.v = it.c.V[it.i]
		return chunkenc.ValFloat
	}
	it.now = decode(it.c, it.i)
	switch {
	case it.now.problem != nil:
		it.err = fmt.Errorf("histogram at %d: %w", it.c.T[it.i], it.now.problem)
		return chunkenc.ValNone
	case it.now.whole != nil:
		return chunkenc.ValHistogram
	case it.now.float != nil:
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

// At implements chunkenc.Iterator.
func (it *columnsIterator) At() (int64, float64) { return it.c.T[it.i], it.now.v }

// AtHistogram implements chunkenc.Iterator. The caller may change what it gets.
func (it *columnsIterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	if h == nil {
		return it.AtT(), it.now.whole.Copy()
	}
	it.now.whole.CopyTo(h)
	return it.AtT(), h
}

// AtFloatHistogram implements chunkenc.Iterator. The caller may change what it gets.
func (it *columnsIterator) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	if it.now.float == nil {
		return it.AtT(), it.now.whole.ToFloat(h)
	}
	if h == nil {
		return it.AtT(), it.now.float.Copy()
	}
	it.now.float.CopyTo(h)
	return it.AtT(), h
}

// AtT implements chunkenc.Iterator.
func (it *columnsIterator) AtT() int64 { return it.c.T[it.i] }

// AtST implements chunkenc.Iterator.
func (it *columnsIterator) AtST() int64 { return it.now.start }

// Err implements chunkenc.Iterator.
func (it *columnsIterator) Err() error { return it.err }
