package memtable

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// clean returns the sorted labels without those of empty value, which are the same as absent, or says what is wrong with
// them. Names are any UTF-8 but empty or with NUL; a series needs at least one label, but no metric name.
func (o *Options) clean(ls labels.Labels) (labels.Labels, error) {
	var (
		count, empty int
		before       string
		err          error
	)
	ls.Range(func(l labels.Label) {
		if err != nil {
			return
		}
		if err = o.checkLabel(l); err == nil && count > 0 && l.Name == before {
			err = fmt.Errorf("label name %.80q occurs twice: %w", l.Name, model.ErrInvalid)
		}
		before = l.Name
		count++
		if l.Value == "" {
			empty++
		}
	})
	switch {
	case err != nil:
		return ls, err
	case count-empty == 0:
		return ls, fmt.Errorf("series without labels: %w", model.ErrInvalid)
	case count-empty > o.MaxLabels:
		return ls, fmt.Errorf("series has %d labels, at most %d are allowed: %w", count-empty, o.MaxLabels, model.ErrLimit)
	case empty > 0:
		ls = ls.WithoutEmpty()
	}
	return ls, nil
}

// validMetric reports whether a name may be that of a metric.
func validMetric(name []byte) bool { return utf8.Valid(name) && bytes.IndexByte(name, 0) < 0 }

func (o *Options) checkLabel(l labels.Label) error {
	switch {
	case l.Name == "":
		return fmt.Errorf("empty label name: %w", model.ErrInvalid)
	case len(l.Name) > o.MaxNameBytes:
		return fmt.Errorf("label name %.40q… has %d bytes, at most %d are allowed: %w", l.Name, len(l.Name), o.MaxNameBytes, model.ErrLimit)
	case len(l.Value) > o.MaxValueBytes:
		return fmt.Errorf("value of label %.80q has %d bytes, at most %d are allowed: %w", l.Name, len(l.Value), o.MaxValueBytes, model.ErrLimit)
	case strings.IndexByte(l.Name, 0) >= 0:
		return fmt.Errorf("label name %.80q holds a NUL: %w", l.Name, model.ErrInvalid)
	case l.Name == commonmodel.MetricNameLabel && strings.IndexByte(l.Value, 0) >= 0:
		return fmt.Errorf("metric name %.80q holds a NUL: %w", l.Value, model.ErrInvalid)
	case !utf8.ValidString(l.Name):
		return fmt.Errorf("label name %.80q is not UTF-8: %w", l.Name, model.ErrInvalid)
	case !utf8.ValidString(l.Value):
		return fmt.Errorf("value of label %.80q is not UTF-8: %w", l.Name, model.ErrInvalid)
	}
	return nil
}
