package influx

import (
	"unicode/utf8"

	"github.com/varvedb/varve/model"
)

// Mapping says what names become. The zero value is one of its own; see DefaultMapping.
type Mapping struct {
	// Separator stands between measurement and field in the name of a metric.
	Separator string
	// SkipSingleField: of a line with one field the measurement alone is the metric. SkipMeasurement: the field alone is, whatever the line.
	SkipSingleField, SkipMeasurement bool
	// DatabaseLabel and PolicyLabel are labels for database and retention policy; "" leaves them out. Where a line has a tag of that name, the tag stays.
	DatabaseLabel, PolicyLabel string
	// DefaultPolicy is the retention policy that gets no label.
	DefaultPolicy string
	// Database and Policy are those of lines before which no comment says so; "" is not known.
	Database, Policy string
	// Underscore makes what may not stand in a classic name of Prometheus an underscore. Else names are kept, as UTF-8.
	Underscore bool
}

// DefaultMapping is measurement_field, with the label db, and the label rp for all retention policies but autogen.
func DefaultMapping() Mapping {
	return Mapping{Separator: "_", DatabaseLabel: "db", PolicyLabel: "rp", DefaultPolicy: "autogen"}
}

// policy is the value of the label for a retention policy, or "".
func (m *Mapping) policy(name string) string {
	if name == m.DefaultPolicy {
		return ""
	}
	return name
}

const metricName = "__name__"

// appendMetric appends the name of a metric, as a label, to dst. fields are those of the line.
func (m *Mapping) appendMetric(dst, measurement, field, scratch []byte, fields int) (key, scratchOut []byte) {
	scratch = scratch[:0]
	if !m.SkipMeasurement {
		scratch = append(scratch, measurement...)
	}
	if m.SkipMeasurement || fields > 1 || !m.SkipSingleField {
		if !m.SkipMeasurement {
			scratch = append(scratch, m.Separator...)
		}
		scratch = append(scratch, field...)
	}
	name := scratch
	if m.Underscore {
		n := len(scratch)
		scratch = appendClassic(scratch, scratch[:n], true)
		name = scratch[n:]
	}
	return model.AppendText(model.AppendText(dst, metricName), name), scratch
}

// appendLabel appends a label to dst.
func (m *Mapping) appendLabel(dst, name, value, scratch []byte) (key, scratchOut []byte) {
	if m.Underscore {
		scratch = appendClassic(scratch[:0], name, false)
		name = scratch
	}
	return model.AppendText(model.AppendText(dst, name), value), scratch
}

// appendClassic appends a name with an underscore for each character that a name of Prometheus could not have before it could be any UTF-8, and one before a digit at its
// beginning.
func appendClassic(dst, name []byte, colon bool) []byte {
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRune(name[i:])
		digit := r >= '0' && r <= '9'
		if digit && i == 0 {
			dst = append(dst, '_')
		}
		switch {
		case digit, r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_', r == ':' && colon:
			dst = append(dst, byte(r))
		default:
			dst = append(dst, '_')
		}
		i += n
	}
	return dst
}
