package model

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
)

// PairKeys is a LabelDecoder of keys that AppendPairs makes. Its value is the Name of the protocol.
type PairKeys string

// Name implements LabelDecoder.
func (p PairKeys) Name() string { return string(p) }

// Decode implements LabelDecoder. A key that breaks off is ErrInvalid.
func (PairKeys) Decode(key []byte, b *labels.ScratchBuilder) error {
	for rest := key; len(rest) > 0; {
		at := len(key) - len(rest)
		name, behind, ok := text(rest)
		var value string
		if ok {
			value, rest, ok = text(behind)
		}
		if !ok {
			return fmt.Errorf("label at byte %d of the series key is cut off: %w", at, ErrInvalid)
		}
		b.Add(name, value)
	}
	return nil
}

// AppendPairs appends the key of the labels to dst: names and values in turn, each as AppendText writes it.
func AppendPairs(dst []byte, ls labels.Labels) []byte {
	ls.Range(func(l labels.Label) { dst = AppendText(AppendText(dst, l.Name), l.Value) })
	return dst
}
