package promchunk

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tombstones"

	"github.com/varvedb/varve/model"
)

// Decoder decodes chunks of Prometheus one after another. For one goroutine.
type Decoder struct{ it chunkenc.Iterator }

// Chunk appends the samples of the range that were not deleted. After an error dst is as it was: a chunk that breaks off is left out as a whole, for nobody knows which of its
// samples are right. Whatever the chunk holds, it neither panics nor takes memory that the length of the chunk does not warrant.
func (d *Decoder) Chunk(dst *model.Columns, c chunkenc.Chunk, r model.TimeRange, deleted tombstones.Intervals) (err error) {
	if err := checkLayout(c.Encoding(), c.Bytes()); err != nil {
		return err
	}
	before := dst.Len()
	// The iterators of Prometheus trust what they are given; rubbish, with a checksum that fits, may make them index or allocate out of range.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v: %w", p, model.ErrCorrupt)
			d.it = nil
			Truncate(dst, before)
		}
	}()
	d.it = c.Iterator(d.it)
	err = d.samples(dst, r, deleted)
	if err == nil {
		err = d.it.Err()
	}
	for i := before + 1; i < dst.Len() && err == nil; i++ {
		if dst.T[i] <= dst.T[i-1] {
			err = fmt.Errorf("timestamp %d after %d", dst.T[i], dst.T[i-1])
		}
	}
	if err == nil && before > 0 && dst.Len() > before && dst.T[before] <= dst.T[before-1] {
		err = fmt.Errorf("it begins at %d, and the one before it ends at %d", dst.T[before], dst.T[before-1])
	}
	if err != nil {
		Truncate(dst, before)
	}
	return err
}

func (d *Decoder) samples(dst *model.Columns, r model.TimeRange, deleted tombstones.Intervals) error {
	it := d.it
	for typ := it.Next(); typ != chunkenc.ValNone; typ = it.Next() {
		t := it.AtT()
		if !r.Contains(t) || len(deleted) > 0 && Deleted(deleted, t) {
			continue
		}
		if start := it.AtST(); start != 0 || typ != chunkenc.ValFloat {
			h, err := Sample(it, typ, start)
			if err != nil {
				return err
			}
			dst.AppendHistogram(t, h)
			continue
		}
		_, v := it.At()
		dst.Append(t, v)
	}
	return nil
}

// Deleted reports whether the time lies in one of the intervals.
func Deleted(in tombstones.Intervals, t int64) bool {
	for _, i := range in {
		if i.Mint <= t && t <= i.Maxt {
			return true
		}
	}
	return false
}

// Sample is the sample at the iterator in the form of model.HistogramSample.
func Sample(it chunkenc.Iterator, typ chunkenc.ValueType, start int64) ([]byte, error) {
	switch typ {
	case chunkenc.ValHistogram:
		t, h := it.AtHistogram(nil)
		return Histogram(t, start, h)
	case chunkenc.ValFloatHistogram:
		t, h := it.AtFloatHistogram(nil)
		return FloatHistogram(t, start, h)
	}
	_, v := it.At()
	return model.FloatWithStart(start, v), nil
}

// Histogram is a native histogram as blocks have it. Whether its counters were reset is left to readers, who see its neighbours: the hint in a chunk is
// about the one before it there.
func Histogram(t, start int64, h *histogram.Histogram) ([]byte, error) {
	if h.CounterResetHint != histogram.GaugeType {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	p := prompb.FromIntHistogram(t, h)
	return marshal(&p, start)
}

// FloatHistogram is Histogram for those with floats.
func FloatHistogram(t, start int64, h *histogram.FloatHistogram) ([]byte, error) {
	if h.CounterResetHint != histogram.GaugeType {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	p := prompb.FromFloatHistogram(t, h)
	return marshal(&p, start)
}

func marshal(p *prompb.Histogram, start int64) ([]byte, error) {
	b, err := p.Marshal()
	if err == nil && start != 0 {
		b = model.HistogramWithStart(start, b)
	}
	return b, err
}
