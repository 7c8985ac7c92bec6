package live

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/migrate/promchunk"
)

// samples takes a ReadResponse, series by series.
func (a *answer) samples(b []byte) error {
	response := fields{b: b}
	for response.next() {
		if response.number != 1 {
			continue
		}
		result := fields{b: response.data}
		for result.next() {
			if result.number != 1 {
				continue
			}
			if err := a.timeSeries(result.data); err != nil {
				return damaged(err)
			}
		}
		if result.err != nil {
			return damaged(result.err)
		}
	}
	return damaged(response.err)
}

// timeSeries takes a TimeSeries. Samples and histograms are written one behind the other, so they are handed on apart; the sorter puts them in order.
func (a *answer) timeSeries(b []byte) error {
	ls, err := a.labels(b)
	if err != nil || !a.out.f.want(ls) {
		return err
	}
	a.columns.Reset()
	f := fields{b: b}
	for f.next() {
		switch f.number {
		case 2:
			if err := a.sample(f.data); err != nil {
				return err
			}
		case 4:
			if err := a.histogram(ls, f.data); err != nil {
				return err
			}
		}
	}
	if f.err != nil {
		return f.err
	}
	return a.out.add(ls, &a.columns)
}

func (a *answer) sample(b []byte) error {
	var value float64
	var at int64
	f := fields{b: b}
	for f.next() {
		switch f.number {
		case 1:
			value = math.Float64frombits(f.value)
		case 2:
			at = int64(f.value)
		}
	}
	a.columns.Append(at, value)
	return f.err
}

// histogram takes a native histogram; one that cannot be is left out.
func (a *answer) histogram(ls labels.Labels, b []byte) error {
	var p prompb.Histogram
	if err := p.Unmarshal(b); err != nil {
		return fmt.Errorf("%w: histogram: %w", errMessage, err)
	}
	h, err := nativeHistogram(&p)
	if err != nil {
		return a.out.skip("samples", 0, 1, fmt.Sprintf("series %.300q: histogram at %d: %v", ls.String(), p.Timestamp, err))
	}
	a.columns.AppendHistogram(p.Timestamp, h)
	return nil
}

// nativeHistogram is a histogram as blocks have it.
func nativeHistogram(p *prompb.Histogram) ([]byte, error) {
	if p.IsFloatHistogram() {
		h := p.ToFloatHistogram()
		if err := h.Validate(); err != nil {
			return nil, err
		}
		return promchunk.FloatHistogram(p.Timestamp, 0, h)
	}
	h := p.ToIntHistogram()
	if err := h.Validate(); err != nil {
		return nil, err
	}
	return promchunk.Histogram(p.Timestamp, 0, h)
}
