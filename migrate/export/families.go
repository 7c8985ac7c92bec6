package export

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

// suffixes are those of the metrics of a family, by its type.
func suffixes(t commonmodel.MetricType) []string {
	switch t {
	case commonmodel.MetricTypeCounter:
		return []string{"_total", "_created"}
	case commonmodel.MetricTypeHistogram:
		return []string{"_bucket", "_count", "_sum", "_created"}
	case commonmodel.MetricTypeGaugeHistogram:
		return []string{"_bucket", "_gcount", "_gsum"}
	case commonmodel.MetricTypeSummary:
		return []string{"", "_count", "_sum", "_created"}
	case commonmodel.MetricTypeInfo:
		return []string{"_info"}
	}
	return []string{""}
}

// familyOf returns the family of a metric and what is said of it. Senders tell metadata by the name of the family, or, of counters in the text format, by that of the metric. A metric
// of which nothing is said, or nothing that goes with its name, is a family of its own of the type unknown.
func familyOf(metric string, metadata map[string]model.Metadata) (string, model.Metadata) {
	for _, suffix := range []string{"", "_total", "_created", "_bucket", "_count", "_sum", "_gcount", "_gsum", "_info"} {
		family, ok := strings.CutSuffix(metric, suffix)
		if !ok || family == "" {
			continue
		}
		m, ok := metadata[family]
		if !ok {
			continue
		}
		for _, s := range suffixes(m.Type) {
			if s == suffix {
				return family, m
			}
		}
		if m.Type == commonmodel.MetricTypeCounter && suffix == "" {
			if base, ok := strings.CutSuffix(metric, "_total"); ok && base != "" {
				if _, other := metadata[base]; !other {
					return base, m
				}
			}
		}
	}
	m := model.Metadata{Type: commonmodel.MetricTypeUnknown}
	if own, ok := metadata[metric]; ok {
		m.Help = own.Help
	}
	return metric, m
}

// head writes what is said of a family.
func (w *familyWriter) head(family, metric string) error {
	_, m := familyOf(metric, w.o.metadata)
	name := appendName(nil, family)
	b := append(append(w.line[:0], "# TYPE "...), name...)
	t := m.Type
	if t == "" {
		t = commonmodel.MetricTypeUnknown
	}
	b = append(append(append(b, ' '), t...), '\n')
	// A unit is the end of the name, or it is none.
	if m.Unit != "" && strings.HasSuffix(family, "_"+m.Unit) {
		b = append(append(append(append(append(b, "# UNIT "...), name...), ' '), m.Unit...), '\n')
	}
	if m.Help != "" {
		b = append(append(append(b, "# HELP "...), name...), ' ')
		b = append(appendEscaped(b, m.Help), '\n')
	}
	w.line = b
	if _, err := w.o.out.w.Write(b); err != nil {
		return w.o.out.failed(err)
	}
	return nil
}

// appendName appends the name of a metric or label, in quotes if it needs them.
func appendName(b []byte, name string) []byte {
	if commonmodel.LegacyValidation.IsValidMetricName(name) {
		return append(b, name...)
	}
	return append(appendEscaped(append(b, '"'), name), '"')
}

// appendSeriesText appends a series; one whose name needs quotes has it in the braces.
func appendSeriesText(b []byte, ls labels.Labels) []byte {
	metric := ls.Get(index.MetricName)
	plain := commonmodel.LegacyValidation.IsValidMetricName(metric)
	if plain {
		b = append(b, metric...)
	}
	if plain && ls.Len() == 1 {
		return b
	}
	b = append(b, '{')
	if !plain {
		b = appendName(b, metric)
	}
	first := plain
	ls.Range(func(l labels.Label) {
		if l.Name == index.MetricName {
			return
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendLabel(b, l)
	})
	return append(b, '}')
}

func appendLabel(b []byte, l labels.Label) []byte {
	if commonmodel.LegacyValidation.IsValidLabelName(l.Name) {
		b = append(b, l.Name...)
	} else {
		b = append(appendEscaped(append(b, '"'), l.Name), '"')
	}
	return append(appendEscaped(append(b, '=', '"'), l.Value), '"')
}

// appendEscaped appends a text as it stands between quotes.
func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '\\', '"':
			b = append(b, '\\', s[i])
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, s[i])
		}
	}
	return b
}

// appendTextValue appends a value in the notation of OpenMetrics.
func appendTextValue(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, "NaN"...)
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// appendSeconds appends milliseconds as seconds. Prometheus reads them as a float, takes that times a thousand and cuts it: where this would come to a millisecond less, or for times
// before 1970 more, half a microsecond is added to what stands there.
func appendSeconds(b []byte, ms int64) []byte {
	start := len(b)
	u := ms
	if ms < 0 {
		b, u = append(b, '-'), -ms
	}
	b = strconv.AppendInt(b, u/1000, 10)
	if f := u % 1000; f > 0 {
		b = append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
	}
	if v, err := strconv.ParseFloat(string(b[start:]), 64); err != nil || int64(v*1000) == ms {
		return b
	}
	if u%1000 == 0 {
		b = append(b, ".000"...)
	}
	return append(b, "0005"...)
}

// maxExemplarRunes is what OpenMetrics allows for the labels of an exemplar.
const maxExemplarRunes = 128

func runes(ls labels.Labels) (n int) {
	ls.Range(func(l labels.Label) { n += utf8.RuneCountInString(l.Name) + utf8.RuneCountInString(l.Value) })
	return n
}

// exemplarsMayBe says whether OpenMetrics allows exemplars for samples of the metric.
func exemplarsMayBe(metric string, m model.Metadata) bool {
	switch m.Type {
	case commonmodel.MetricTypeCounter:
		return strings.HasSuffix(metric, "_total")
	case commonmodel.MetricTypeHistogram, commonmodel.MetricTypeGaugeHistogram:
		return strings.HasSuffix(metric, "_bucket")
	}
	return false
}

func appendExemplarText(b []byte, e *model.Exemplar) []byte {
	b = append(b, " # {"...)
	first := true
	e.Labels.Range(func(l labels.Label) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendLabel(b, l)
	})
	b = appendTextValue(append(b, '}', ' '), e.V)
	return appendSeconds(append(b, ' '), e.T)
}
