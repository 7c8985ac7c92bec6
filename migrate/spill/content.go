package spill

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"math"

	"github.com/varvedb/varve/model"
)

// Print is a hash over series in order, and how many samples they have in the range: the same for the same samples, however they came. It reads them all.
func Print(series iter.Seq2[model.Series, error], r model.TimeRange) (string, int64, error) {
	h := sha256.New()
	var c model.Columns
	var b []byte
	n := int64(0)
	for s, err := range series {
		if err != nil {
			return "", 0, err
		}
		c.Reset()
		if err := s.Samples(&c, r); err != nil {
			return "", 0, err
		}
		n += int64(c.Len())
		ls := s.Labels().Bytes(nil)
		// Whatever is written is preceded by its length, so that no two contents look the same.
		b = binary.AppendUvarint(b[:0], uint64(len(ls)))
		b = append(b, ls...)
		b = binary.AppendUvarint(b, uint64(c.Len()))
		for i, t := range c.T {
			b = binary.LittleEndian.AppendUint64(b, uint64(t))
			if c.H != nil && c.H[i] != nil {
				b = binary.AppendUvarint(b, uint64(len(c.H[i]))+1)
				b = append(b, c.H[i]...)
				continue
			}
			b = binary.LittleEndian.AppendUint64(append(b, 0), math.Float64bits(c.V[i]))
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), n, nil
}
