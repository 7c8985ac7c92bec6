package text

import "github.com/varvedb/varve/model"

// keys are those of this package's batches, in the order of names.
const keys = model.PairKeys("text")

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
