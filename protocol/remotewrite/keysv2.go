package remotewrite

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// LabelDecoderV2 decodes the keys of version 2.0: names and values in turn, each with its length before it as a varint, as the
// symbols that the series refers to stand in the message. The references themselves mean something in one request only.
type LabelDecoderV2 struct{}

// Name implements model.LabelDecoder.
func (LabelDecoderV2) Name() string { return "rw2" }

// Decode implements model.LabelDecoder.
func (LabelDecoderV2) Decode(key []byte, b *labels.ScratchBuilder) error {
	return eachLabelV2(key, func(name, value []byte) bool {
		b.Add(string(name), string(value))
		return true
	})
}

// AppendKeyV2 appends the key of the labels to dst: the one that a sender's series gets who sends the same labels in the same order.
func AppendKeyV2(dst []byte, ls labels.Labels) []byte {
	ls.Range(func(l labels.Label) {
		dst = append(binary.AppendUvarint(dst, uint64(len(l.Name))), l.Name...)
		dst = append(binary.AppendUvarint(dst, uint64(len(l.Value))), l.Value...)
	})
	return dst
}

// eachLabelV2 calls fn for each label of a key until fn returns false.
func eachLabelV2(key []byte, fn func(name, value []byte) bool) error {
	for i := 0; i < len(key); {
		at := i
		nameStart, nameEnd := span(key, i)
		if nameEnd < 0 {
			return fmt.Errorf("label at byte %d of the series key is cut off: %w", at, model.ErrInvalid)
		}
		start, end := span(key, nameEnd)
		if end < 0 {
			return fmt.Errorf("label at byte %d of the series key is cut off: %w", at, model.ErrInvalid)
		}
		if !fn(key[nameStart:nameEnd], key[start:end]) {
			return nil
		}
		i = end
	}
	return nil
}
