package influx

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// LabelDecoder decodes the keys of this package's batches: names and values in turn, each with its length before it as a uvarint, in the order of the line.
type LabelDecoder struct{}

// Name implements model.LabelDecoder.
func (LabelDecoder) Name() string { return "influx" }

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
