package query

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// TestNewerBlock asks for a block with a chunk of a codec that is not known, in a page that is whole, as if a newer Varve had written it: the query fails and names it,
// or has all else and a warning that names it.
func TestNewerBlock(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newDamageWorld(t, blocks.Native)
	w.put(newerCodec(t, rand.New(rand.NewPCG(seed, 3)), w.victim, w.bytes))
	e := NewEngine(nil, NewParser(), nil, nil)
	defer e.Close()
	const all = `{__name__=~".+"}[1d]`
	_, _, err := w.ask(w.ctx(), e, w.queryable(), all)
	require.ErrorIs(t, err, model.ErrVersion)
	require.ErrorContains(t, err, blocks.Key(w.victim))

	got, warnings, err := w.ask(WithPartialResponse(w.ctx()), e, w.queryable(), all)
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], blocks.Key(w.victim))
	require.Less(t, len(got), len(w.both))
	for series, samples := range got {
		require.Equal(t, w.both[series], samples, "a series is there in whole or not at all")
	}
	for series := range w.good {
		require.Contains(t, got, series)
	}
}

// newerCodec gives a chunk of the block another codec and bytes with which its page takes as much room as before.
func newerCodec(t *testing.T, r *rand.Rand, m *blocks.Meta, block []byte) []byte {
	enc := page.NewEncoder()
	defer enc.Close()
	at := int(m.Chunks.Offset)
	raw, size, err := page.Decode(nil, block[at:], page.Chunks)
	require.NoError(t, err)
	p, err := native.ParseChunkPage(raw)
	require.NoError(t, err)
	c, err := p.Chunk(0)
	require.NoError(t, err)
	const unknown = 0x0f
	was := bytes.Clone(c)
	for range 1 << 15 {
		copy(c, was)
		c[0] = unknown
		for range 1 + r.IntN(len(c)) {
			c[1+r.IntN(len(c)-1)] = byte(r.IntN(1 << r.IntN(9)))
		}
		if b := enc.Append(nil, page.Chunks, raw); len(b) == size {
			return append(append(bytes.Clone(block[:at]), b...), block[at+size:]...)
		}
	}
	t.Fatal("no chunk of another codec makes a page of the same length")
	return nil
}
