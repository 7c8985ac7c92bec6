package verify

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// rows looks for what a series of Varve's own says at the source: exemplars by time, value and labels, and of metadata whether the bucket has any of the metric that day, as what is said later is
// newer. What is missing is counted and makes no difference: rows of one time hide each other.
func (d *day) rows(ls labels.Labels, source, target *model.Columns) error {
	if _, ok := model.MetadataOf(ls); ok {
		d.counts.SourceMetadata++
		if target.Len() == 0 {
			d.counts.MissingMetadata++
		}
		return nil
	}
	var want, have []model.Exemplar
	at := 0
	for i, t := range source.T {
		var err error
		if want, err = model.DecodeExemplars(want[:0], t, histogramAt(source, i)); err != nil {
			return fmt.Errorf("source: exemplars of %.300s: %w", ls, err)
		}
		for at < target.Len() && target.T[at] < t {
			at++
		}
		have = have[:0]
		if at < target.Len() && target.T[at] == t {
			if have, err = model.DecodeExemplars(have, t, histogramAt(target, at)); err != nil {
				return fmt.Errorf("target: exemplars of %.300s: %w", ls, err)
			}
		}
		d.counts.SourceExemplars += int64(len(want))
		for j := range want {
			if !hasExemplar(have, &want[j], d.cfg.Tolerance) {
				d.counts.MissingExemplars++
			}
		}
	}
	return nil
}

func hasExemplar(all []model.Exemplar, e *model.Exemplar, tolerance float64) bool {
	for i := range all {
		if sameFloat(all[i].V, e.V, tolerance) && labels.Equal(all[i].Labels, e.Labels) {
			return true
		}
	}
	return false
}
