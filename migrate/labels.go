package migrate

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Labels of one series that are kept, more than live writers may have: what another database had is history.
const maxLabels, maxLabelBytes = 1000, 64 << 10

// Clean is for labels as a source has them, sorted: it returns them as they are kept, as those of a live write, or an error, which wraps model.ErrInvalid, that says what is wrong with
// them. A source in no order calls it before it sorts. No label of Varve's own passes.
func Clean(ls labels.Labels) (labels.Labels, error) {
	ls, err := model.CleanLabels(ls)
	if err != nil {
		return ls, err
	}
	n, size := 0, 0
	ls.Range(func(l labels.Label) { n, size = n+1, size+len(l.Name)+len(l.Value) })
	if n > maxLabels || size > maxLabelBytes {
		return ls, fmt.Errorf("it has %d labels of %d bytes, more than %d or %d: %w", n, size, maxLabels, maxLabelBytes, model.ErrInvalid)
	}
	return ls, nil
}

// judge says why a series of a source cannot be kept. It is the one way in: whatever a source yields passes here.
//
// Series of ours pass if all that they hold are rows of theirs, and nothing else holds rows. That keeps foreign input from forging any, whatever its labels: rows are made by
// model.AppendExemplar and model.AppendMetadata alone, and bytes of foreign histograms are encoded anew.
func judge(ls labels.Labels, c *model.Columns) error {
	if model.Reserved(ls) {
		_, err := judgeRows(ls, c)
		return err
	}
	clean, err := Clean(ls)
	switch {
	case err != nil:
		return err
	case clean.Len() != ls.Len():
		return fmt.Errorf("it has a label without a value: %w", model.ErrInvalid) // without it, it may not be in order
	}
	for _, h := range c.H {
		if model.IsRow(h) {
			return fmt.Errorf("it has rows of a series of Varve's own: %w", model.ErrInvalid)
		}
	}
	return nil
}

// rows are what reserved series hold.
type rows struct{ series, samples, exemplars, metadata int64 }

func (r *rows) add(o rows) {
	r.series += o.series
	r.samples += o.samples
	r.exemplars += o.exemplars
	r.metadata += o.metadata
}

// judgeRows counts what a reserved series holds, or says what is wrong with it.
func judgeRows(ls labels.Labels, c *model.Columns) (rows, error) {
	out := rows{series: 1, samples: int64(c.Len())}
	errForged := fmt.Errorf("it has a label that is Varve's own: %w", model.ErrInvalid)
	_, isMetadata := model.MetadataOf(ls)
	if err := judgeReserved(ls); err != nil || c.H == nil {
		return out, errForged
	}
	var list []model.Exemplar
	for i, h := range c.H {
		var err error
		if isMetadata {
			_, err = model.DecodeMetadata(h)
			out.metadata++
		} else {
			list, err = model.DecodeExemplars(list[:0], c.T[i], h)
			out.exemplars += int64(len(list))
		}
		if err != nil {
			return out, errForged
		}
	}
	return out, nil
}

// judgeReserved looks at the labels of a reserved series.
func judgeReserved(ls labels.Labels) error {
	if metric, ok := model.MetadataOf(ls); ok {
		if ls.Len() != 1 || !model.ValidMetric(metric) {
			return model.ErrInvalid
		}
		return nil
	}
	of, ok := model.ExemplarsOf(ls)
	if !ok {
		return model.ErrInvalid
	}
	clean, err := Clean(of)
	if err == nil && clean.Len() != of.Len() {
		err = model.ErrInvalid
	}
	return err
}
