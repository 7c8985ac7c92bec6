package text

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// LabelDecoder decodes the keys of this package's batches: names and values in turn, each with its length before it as a uvarint, sorted by name.
type LabelDecoder struct{}

// Name implements model.LabelDecoder.
func (LabelDecoder) Name() string { return "text" }

// Decode implements model.LabelDecoder.
func (LabelDecoder) Decode(key []byte, b *labels.ScratchBuilder) error {
	whole := len(key)
	next := func() (string, bool) {
		n, k := binary.Uvarint(key)
		if k <= 0 || n > uint64(len(key)-k) {
			return "", false
		}
		s := string(key[k : k+int(n)])
		key = key[k+int(n):]
		return s, true
	}
	for len(key) > 0 {
		at := whole - len(key)
		name, ok := next()
		value, ok2 := next()
		if !ok || !ok2 {
			return fmt.Errorf("label at byte %d of the series key is cut off: %w", at, model.ErrInvalid)
		}
		b.Add(name, value)
	}
	return nil
}

// Known is a series that was met before.
type Known struct {
	// Key is never changed.
	Key []byte
	// Slot is for whoever reads the chunks: what was put there is there again when the series is met again.
	Slot any
}

// known are series that were met, by the text of their names and labels.
type known struct {
	series          map[string]*Known
	bytes, maxBytes int
}

// add keeps a series. When there is no room all are forgotten.
func (k *known) add(text, key []byte) *Known {
	const entryBytes = 120
	size := len(text) + len(key) + entryBytes
	if size > k.maxBytes/64 {
		return nil
	}
	if k.bytes += size; k.series == nil || k.bytes > k.maxBytes {
		k.series, k.bytes = map[string]*Known{}, size
	}
	s := &Known{Key: append([]byte(nil), key...)}
	k.series[string(text)] = s
	return s
}

func appendKey(dst []byte, ls labels.Labels) []byte {
	ls.Range(func(l labels.Label) {
		dst = model.AppendText(model.AppendText(dst, l.Name), l.Value)
	})
	return dst
}
