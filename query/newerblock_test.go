package query

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/blocks/blockstest"
	"github.com/varvedb/varve/model"
)

// TestNewerBlock asks for a block with a chunk of a codec that is not known, in a page that is whole, as if a newer Varve had written it: the query fails and names it,
// or has all else and a warning that names it.
func TestNewerBlock(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newDamageWorld(t, blocks.Native)
	w.put(blockstest.NewerCodec(t, rand.New(rand.NewPCG(seed, 3)), w.victim, w.bytes))
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
