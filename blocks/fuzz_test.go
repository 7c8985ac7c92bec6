package blocks_test

import (
	"errors"
	"testing"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// FuzzOpen takes any bytes for a block, with a right checksum at their end half of the time.
func FuzzOpen(f *testing.F) {
	_, b := build(f, small())
	f.Add(b, true)
	f.Add(b[len(b)-200:], false)
	_, b = buildParquet(f, smallRows())
	f.Add(b, true)
	_, b = buildRollup(f, blocks.Rollup5m, smallRollup(blocks.Rollup5m)[:5])
	f.Add(b, true)
	f.Fuzz(func(t *testing.T, data []byte, forge bool) {
		if forge {
			data = blocks.ForgeChecksum(data)
		}
		m, err := blocks.Open(t.Context(), blocks.Bytes(data), "key", int64(len(data)))
		if err == nil {
			_, err = answers(blocks.Bytes(data), m)
		}
		for _, err := range []error{err, blocks.Verify(data)} {
			if err != nil && !errors.Is(err, model.ErrCorrupt) && !errors.Is(err, model.ErrVersion) {
				t.Fatal(err)
			}
		}
	})
}
