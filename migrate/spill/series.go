package spill

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// series is a series whose samples are decoded.
type series struct {
	labels  labels.Labels
	columns *model.Columns
}

// Labels implements model.Series.
func (s *series) Labels() labels.Labels { return s.labels }

// Samples implements model.Series.
func (s *series) Samples(dst *model.Columns, r model.TimeRange) error {
	for i, t := range s.columns.T {
		if r.Contains(t) {
			dst.AppendAt(s.columns, i)
		}
	}
	return nil
}
