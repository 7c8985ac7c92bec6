package remotewrite

import (
	"encoding/binary"
	"fmt"
	"strings"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// LabelDecoder decodes the keys of this protocol: the label fields of a prometheus.TimeSeries, one behind the other.
type LabelDecoder struct{}

// Name implements model.LabelDecoder.
func (LabelDecoder) Name() string { return "rw1" }

// Decode implements model.LabelDecoder.
func (LabelDecoder) Decode(key []byte, b *labels.ScratchBuilder) error {
	return eachLabel(key, func(name, value []byte) bool {
		b.Add(string(name), string(value))
		return true
	})
}

// AppendKey appends the key of the labels to dst: the one that a sender writes who encodes the same labels in the
// same order. Whoever has labels and not a message makes batches with it.
func AppendKey(dst []byte, ls labels.Labels) []byte {
	ls.Range(func(l labels.Label) {
		n := 0
		if l.Name != "" {
			n += 1 + varintLen(len(l.Name)) + len(l.Name)
		}
		if l.Value != "" {
			n += 1 + varintLen(len(l.Value)) + len(l.Value)
		}
		dst = binary.AppendUvarint(append(dst, tagLabel), uint64(n))
		dst = appendString(dst, 1, l.Name)
		dst = appendString(dst, 2, l.Value)
	})
	return dst
}

func appendString(dst []byte, field byte, s string) []byte {
	if s == "" {
		return dst
	}
	dst = binary.AppendUvarint(append(dst, field<<3|wireLen), uint64(len(s)))
	return append(dst, s...)
}

func varintLen(n int) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}

// eachLabel calls fn for each label of a key until fn returns false.
func eachLabel(key []byte, fn func(name, value []byte) bool) error {
	for i := 0; i < len(key); {
		at := i
		field, wire, next := tag(key, i)
		if next < 0 || field != fieldLabel || wire != wireLen {
			return fmt.Errorf("label at byte %d of the series key is malformed: %w", at, model.ErrInvalid)
		}
		start, end := span(key, next)
		if end < 0 {
			return fmt.Errorf("label at byte %d of the series key is cut off: %w", at, model.ErrInvalid)
		}
		name, value, ok := label(key[start:end])
		if !ok {
			return fmt.Errorf("label at byte %d of the series key is malformed: %w", at, model.ErrInvalid)
		}
		if !fn(name, value) {
			return nil
		}
		i = end
	}
	return nil
}

// nameField is how a label __name__ begins in the ordinary encoding: the name, and the tag of the value.
const nameField = "\x0a\x08__name__\x12"

// isName reports whether a label of less than 128 bytes is a metric name in the ordinary encoding, as it is in nearly every series. The value ends the
// label: what came behind it could be another name.
func isName(label []byte) bool {
	n := len(label) - len(nameField) - 1
	return n > 0 && label[1] == nameField[1] && string(label[:len(nameField)]) == nameField && int(label[len(nameField)]) == n
}

// eachLabel calls fn for each label of a key of the request's version until fn returns false.
func (r *Request) eachLabel(key []byte, fn func(name, value []byte) bool) error {
	if r.Version == V2 {
		return eachLabelV2(key, fn)
	}
	return eachLabel(key, fn)
}

// hasName reports whether there is a metric name at all. A key that doesn't decode is left for the store to refuse.
func (r *Request) hasName(key []byte) bool {
	found := false
	err := r.eachLabel(key, func(name, value []byte) bool {
		found = string(name) == prommodel.MetricNameLabel && len(value) > 0
		return !found
	})
	return found || err != nil
}

// label reads a prometheus.Label.
func label(b []byte) (name, value []byte, ok bool) {
	for i := 0; i < len(b); {
		field, wire, next := tag(b, i)
		if next < 0 || field <= 0 {
			return nil, nil, false
		}
		if field > 2 {
			if i = skip(b, next, wire); i < 0 {
				return nil, nil, false
			}
			continue
		}
		start, end := span(b, next)
		if wire != wireLen || end < 0 {
			return nil, nil, false
		}
		if field == 1 {
			name = b[start:end]
		} else {
			value = b[start:end]
		}
		i = end
	}
	return name, value, true
}

// maxSeriesText is the readable length of a series in an error.
const maxSeriesText = 300

// seriesText renders a key for a person, in the order of the request and cut to a readable length.
func (r *Request) seriesText(key []byte) string {
	var s strings.Builder
	s.WriteByte('{')
	cut := false
	err := r.eachLabel(key, func(name, value []byte) bool {
		if s.Len() > maxSeriesText {
			cut = true
			return false
		}
		if s.Len() > 1 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "%.80q=%.80q", name, value)
		return true
	})
	if cut || err != nil {
		s.WriteString(", …")
	}
	s.WriteByte('}')
	return s.String()
}
