package catalog

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// TestRebuilt: a state is put where nothing is, or over the version that was read, and never over another one.
func TestRebuilt(t *testing.T) {
	ctx := context.Background()
	s := New(blob.New(mem.New(), nil), nil, Components{})
	p := &Partition{Tenant: "t", Day: 20000, Head: Head{Generation: 7}, Flushed: map[string]uint64{"w": 3}}
	require.NoError(t, s.PutRebuiltPartition(ctx, p, ""))
	got, err := s.Partition(ctx, "t", 20000, nil)
	require.NoError(t, err)
	require.Equal(t, uint64(8), got.Generation)
	require.Equal(t, p.Flushed, got.Flushed)
	require.ErrorIs(t, s.PutRebuiltPartition(ctx, p, ""), model.ErrConflict)
	require.NoError(t, s.PutRebuiltPartition(ctx, p, got.Version))
	require.ErrorIs(t, s.PutRebuiltPartition(ctx, p, got.Version), model.ErrConflict, "it has changed since")
	require.NoError(t, s.PutRebuiltRoot(ctx, &Root{Tenant: "t", Days: []model.Day{20000}}, ""))
	require.NoError(t, s.EnterDay(ctx, "t", 20001))
	root, err := s.Root(ctx, "t", nil)
	require.NoError(t, err)
	require.Equal(t, []model.Day{20000, 20001}, root.Days)
	require.NoError(t, s.PutRebuiltRoster(ctx, &Roster{Writers: []Writer{{ID: "w"}}}, ""))
}

// TestAddOfWhatIsHeld: in a rebuilt catalog the watermark may be below what its blocks hold. The writer that flushes again raises it and adds nothing.
func TestAddOfWhatIsHeld(t *testing.T) {
	meta := func(id, writer string, gen uint64, sources ...blocks.Source) *blocks.Meta {
		day := model.Day(20000).Range()
		return &blocks.Meta{ID: id, Format: blocks.Native, Tenant: "t", Day: 20000, MinT: day.MinMs, MaxT: day.MinMs, Writer: writer, Generation: gen, Sources: sources}
	}
	p := &Partition{Tenant: "t", Day: 20000, Flushed: map[string]uint64{}}
	p.Blocks = []Entry{{Meta: meta("flushed", "w", 5), Order: 1}, {Meta: meta("merged", "", 0, blocks.Source{Writer: "w", From: 1, To: 3}), Order: 2}}
	for gen, blocks := range map[uint64]int{2: 2, 5: 2, 4: 3, 6: 3} {
		c := p.clone()
		require.NoError(t, Add{Writer: "w", Generation: gen, Meta: meta("again", "w", gen)}.apply(c, 1))
		require.Len(t, c.Blocks, blocks, "generation %d", gen)
		require.Equal(t, gen, c.Flushed["w"])
	}
	same := Add{Writer: "w", Generation: 5, Meta: meta("flushed", "w", 5)}
	require.NoError(t, same.apply(p.clone(), 1), "the very block")
}

// TestDropOfWhatIsRetired: an id that was dropped and is retired all the same, which no commit leads to, does not stay so.
func TestDropOfWhatIsRetired(t *testing.T) {
	p := &Partition{Dropped: []Dropped{{ID: "x", AtMs: 1}}, Retired: []Retired{{ID: "x"}}}
	_, done := Drop{IDs: []string{"x"}}.applied(p)
	require.False(t, done)
	require.ErrorIs(t, Drop{IDs: []string{"x"}, Orphans: true}.apply(p.clone(), 2), model.ErrConflict)
	require.NoError(t, Drop{IDs: []string{"x"}}.apply(p, 2))
	require.Empty(t, p.Retired)
	require.Len(t, p.Dropped, 1)
	_, done = Drop{IDs: []string{"x"}}.applied(p)
	require.True(t, done)
}
