package memtable

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// clean returns the sorted labels as they are kept (model.CleanLabels), or says what is wrong with them, be it a limit.
func (o *Options) clean(ls labels.Labels) (labels.Labels, error) {
	var err error
	ls.Range(func(l labels.Label) {
		if err == nil {
			err = o.checkLength(l)
		}
	})
	if err != nil {
		return ls, err
	}
	if ls, err = model.CleanLabels(ls); err != nil {
		return ls, err
	}
	if n := ls.Len(); n > o.MaxLabels {
		return ls, fmt.Errorf("series has %d labels, at most %d are allowed: %w", n, o.MaxLabels, model.ErrLimit)
	}
	return ls, nil
}

// validMetric reports whether a name may be that of a metric.
func validMetric(name []byte) bool { return utf8.Valid(name) && bytes.IndexByte(name, 0) < 0 }

func (o *Options) checkLength(l labels.Label) error {
	switch {
	case len(l.Name) > o.MaxNameBytes:
		return fmt.Errorf("label name %.40q… has %d bytes, at most %d are allowed: %w", l.Name, len(l.Name), o.MaxNameBytes, model.ErrLimit)
	case len(l.Value) > o.MaxValueBytes:
		return fmt.Errorf("value of label %.80q has %d bytes, at most %d are allowed: %w", l.Name, len(l.Value), o.MaxValueBytes, model.ErrLimit)
	}
	return nil
}
