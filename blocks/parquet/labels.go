package parquet

import (
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/index"
)

// appendLabels appends the labels but the metric name as a JSON object without blanks: one text for each set of labels.
func appendLabels(dst []byte, ls labels.Labels) []byte {
	dst = append(dst, '{')
	first := true
	ls.Range(func(l labels.Label) {
		if l.Name == index.MetricName {
			return
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendText(dst, l.Name)
		dst = append(dst, ':')
		dst = appendText(dst, l.Value)
	})
	return append(dst, '}')
}

// appendText appends a JSON string. Bytes that are no UTF-8 become U+FFFD: readers refuse them, and Varve takes labels
// from its index.
func appendText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[from:i]...), "\uFFFD"...)
				from = i + n
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// metricText is the metric name as text.
func metricText(ls labels.Labels) string {
	return strings.ToValidUTF8(ls.Get(index.MetricName), "\uFFFD")
}
