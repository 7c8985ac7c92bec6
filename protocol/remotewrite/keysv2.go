package remotewrite

import (
	"fmt"

	"github.com/varvedb/varve/model"
)

// keysV2 are the keys of version 2.0: the symbols that a series refers to, as they stand in the message. The references themselves mean something in one request only.
const keysV2 = model.PairKeys("rw2")

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
