package varve

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// Series are samples of one series to append.
type Series struct {
	// Labels include the name of the metric, __name__.
	Labels     labels.Labels
	Samples    []model.Sample
	Histograms []Histogram
	// Exemplars may be of any times. They are kept if the series is known, by samples here or before.
	Exemplars []model.Exemplar
}

// Histogram is a native histogram at a time: one of Int and Float.
type Histogram struct {
	T     int64
	Int   *histogram.Histogram
	Float *histogram.FloatHistogram
}

// AppendSeries makes the samples durable and returns how many were accepted and which series were refused. It is Append for those who have
// labels and no encoded request.
func (db *DB) AppendSeries(ctx context.Context, tenantName string, series ...Series) (model.AppendResult, error) {
	b := model.Batch{Labels: remotewrite.LabelDecoder{}}
	for i := range series {
		if err := addSeries(&b, &series[i]); err != nil {
			return model.AppendResult{}, fmt.Errorf("append series %s: %w", series[i].Labels, err)
		}
	}
	return db.Append(ctx, tenantName, &b)
}

func addSeries(b *model.Batch, s *Series) error {
	one := model.BatchSeries{
		Key:   remotewrite.AppendKey(nil, s.Labels),
		First: int32(len(b.Samples)), Count: int32(len(s.Samples)),
		FirstHistogram: int32(len(b.Histograms)), HistogramCount: int32(len(s.Histograms)),
	}
	b.Samples = append(b.Samples, s.Samples...)
	for _, h := range s.Histograms {
		encoded, err := encodeHistogram(h)
		if err != nil {
			return fmt.Errorf("histogram at %d: %w", h.T, err)
		}
		b.Histograms = append(b.Histograms, model.HistogramSample{T: h.T, H: encoded})
	}
	if err := addExemplars(b, one.Key, s.Exemplars); err != nil {
		return err
	}
	if one.Count+one.HistogramCount > 0 {
		b.Series = append(b.Series, one)
	}
	return nil
}

func encodeHistogram(h Histogram) ([]byte, error) {
	var p prompb.Histogram
	var err error
	switch {
	case h.Int != nil && h.Float == nil:
		err = h.Int.Validate()
		p = prompb.FromIntHistogram(h.T, h.Int)
	case h.Float != nil && h.Int == nil:
		err = h.Float.Validate()
		p = prompb.FromFloatHistogram(h.T, h.Float)
	default:
		return nil, fmt.Errorf("want one of Int and Float: %w", model.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, model.ErrInvalid)
	}
	return p.Marshal()
}
