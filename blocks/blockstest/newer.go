// Package blockstest makes blocks that no program of this version writes, for the tests of those who read blocks.
package blockstest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/blocks/chunk"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// NewerCodec returns a hot block with a chunk of a codec that is not known, as if a newer Varve had written it, in pages that are whole. The chunk gets other bytes behind the
// codec, so that the compressed page is as long as it was.
func NewerCodec(t *testing.T, rng *rand.Rand, m *blocks.Meta, block []byte) []byte {
	const codec = 0x0f // of chunks
	_, _, err := chunk.Decode(nil, nil, []byte{codec}, 1)
	require.ErrorIs(t, err, model.ErrVersion)
	enc := page.NewEncoder()
	defer enc.Close()
	at := int(m.Chunks.Offset)
	raw, size, err := page.Decode(nil, block[at:], page.Chunks)
	require.NoError(t, err)
	p, err := native.ParseChunkPage(raw)
	require.NoError(t, err)
	for i := range 1 << 15 {
		c, err := p.Chunk(i % 4)
		require.NoError(t, err)
		was := bytes.Clone(c)
		c[0] = codec
		for range 1 + rng.IntN(len(c)) {
			c[1+rng.IntN(len(c)-1)] = byte(rng.IntN(1 << rng.IntN(9))) // few bits make it shorter, many longer
		}
		if b := enc.Append(nil, page.Chunks, raw); len(b) == size {
			return append(append(bytes.Clone(block[:at]), b...), block[at+size:]...)
		}
		copy(c, was)
	}
	t.Fatal("no chunk of another codec makes a page of the same length")
	return nil
}
