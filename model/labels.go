package model

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
)

// CleanLabels returns sorted labels as they are kept, whoever writes them: without those of empty value, which are the same as absent. Else it says what is wrong with
// them, an error that wraps ErrInvalid. Names and values are UTF-8, no name is empty, no name and no metric name holds a NUL, which is how nobody comes by a label of ours
// (ReservedLabel), and no name occurs twice. A series needs a label, but no metric name. Limits on their number and length are the caller's.
func CleanLabels(ls labels.Labels) (labels.Labels, error) {
	var (
		count, empty int
		before       string
		err          error
	)
	ls.Range(func(l labels.Label) {
		if err != nil {
			return
		}
		if err = checkLabel(l); err == nil && count > 0 && l.Name == before {
			err = fmt.Errorf("label name %.80q occurs twice: %w", l.Name, ErrInvalid)
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
	case count == empty:
		return ls, fmt.Errorf("series without labels: %w", ErrInvalid)
	case empty > 0:
		ls = ls.WithoutEmpty()
	}
	return ls, nil
}

func checkLabel(l labels.Label) error {
	switch {
	case l.Name == "":
		return fmt.Errorf("empty label name: %w", ErrInvalid)
	case strings.IndexByte(l.Name, 0) >= 0:
		return fmt.Errorf("label name %.80q holds a NUL: %w", l.Name, ErrInvalid)
	case l.Name == metricName && strings.IndexByte(l.Value, 0) >= 0:
		return fmt.Errorf("metric name %.80q holds a NUL: %w", l.Value, ErrInvalid)
	case !utf8.ValidString(l.Name):
		return fmt.Errorf("label name %.80q is not UTF-8: %w", l.Name, ErrInvalid)
	case !utf8.ValidString(l.Value):
		return fmt.Errorf("value of label %.80q is not UTF-8: %w", l.Name, ErrInvalid)
	}
	return nil
}

// ValidMetric reports whether a name may be that of a metric.
func ValidMetric(name string) bool {
	return name != "" && utf8.ValidString(name) && strings.IndexByte(name, 0) < 0
}
