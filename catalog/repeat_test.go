package catalog

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

func TestDeletionDay(t *testing.T) {
	of := func(sources ...blocks.Source) *blocks.Meta { return &blocks.Meta{Sources: sources} }
	first := DeletionDay{Flushed: map[string]uint64{"a": 3, "b": 2}}
	repeat := DeletionDay{Flushed: map[string]uint64{"b": 5}, Since: first.Flushed}
	for name, c := range map[string]struct {
		m                       *blocks.Meta
		byFirst, byRepeat, mixd bool
	}{
		"of the first call":              {of(blocks.Source{Writer: "a", From: 1, To: 3}), true, false, false},
		"written since":                  {of(blocks.Source{Writer: "a", From: 4, To: 4}), false, false, true},
		"of another writer":              {of(blocks.Source{Writer: "c", From: 1, To: 1}), false, false, true},
		"unreached":                      {of(blocks.Source{Writer: "b", From: 3, To: 4}), false, true, false},
		"unreached, not a merge":         {&blocks.Meta{Writer: "b", Generation: 5}, false, true, false},
		"after the repeat":               {of(blocks.Source{Writer: "b", From: 6, To: 6}), false, false, false},
		"unreached with what was before": {of(blocks.Source{Writer: "a", From: 1, To: 2}, blocks.Source{Writer: "b", From: 1, To: 4}), true, true, false},
		"unreached with new ones":        {of(blocks.Source{Writer: "a", From: 1, To: 4}, blocks.Source{Writer: "b", From: 3, To: 4}), true, true, true},
	} {
		require.Equal(t, c.byFirst, first.Holds(c.m), name)
		require.False(t, first.Mixed(c.m), name)
		require.Equal(t, c.byRepeat, repeat.Holds(c.m), name)
		require.Equal(t, c.mixd, repeat.Mixed(c.m), name)
	}
}

// repeatWorld has a day with a block of each of two writers under a tombstone, and another of each above it.
func repeatWorld(t *testing.T) (*Store, AddRepeat) {
	s, _ := newStore(mem.New(), 1)
	ctx := context.Background()
	add := func(writer string, gen uint64, id string) {
		m := block(t, []string{id, "0-60"})
		m.Writer, m.Generation = writer, gen
		_, err := s.Commit(ctx, "t", testDay, Add{Writer: writer, Generation: gen, Meta: m})
		require.NoError(t, err)
	}
	add("a", 1, "a1")
	add("b", 1, "b1")
	tomb := Tombstone{ID: "x", CreatedMs: s.nowMs(), Range: testDay.Range(), Matchers: `{i="1"}`}
	_, err := s.Commit(ctx, "t", testDay, AddTombstone(tomb))
	require.NoError(t, err)
	add("a", 2, "a2")
	add("b", 2, "b2")
	tomb.ID = RepeatID("x", 1)
	return s, AddRepeat{tomb, DeletionDay{Day: testDay, Flushed: map[string]uint64{"b": 2}, Since: map[string]uint64{"a": 1, "b": 1}}}
}

func maskedBy(p *Partition, id string) (out []string) {
	for i := range p.Blocks {
		for _, m := range p.Masks(&p.Blocks[i]) {
			if m.ID == id {
				out = append(out, p.Blocks[i].ID)
			}
		}
	}
	return out
}

// TestAddRepeat: exactly the late block is masked; a merge that was made before the commit cannot hide the others; the commit is idempotent.
func TestAddRepeat(t *testing.T) {
	s, op := repeatWorld(t)
	res, err := s.Commit(t.Context(), "t", testDay, op)
	require.NoError(t, err)
	require.Equal(t, []string{"b2"}, maskedBy(res.Partition, op.Tombstone.ID))
	require.Equal(t, []string{"a1", "b1"}, maskedBy(res.Partition, "x"))
	res, err = s.Commit(t.Context(), "t", testDay, op)
	require.NoError(t, err)
	require.Equal(t, Already, res.Outcome)

	m := block(t, []string{"m", "0-60"})
	m.Replaces = []string{"a2", "b2"}
	for _, inputs := range [][]string{{"a2"}, {"a2", "b2"}} {
		_, err = s.Commit(t.Context(), "t", testDay, Replace{Inputs: inputs, Outputs: []*blocks.Meta{m}})
		require.ErrorIs(t, err, model.ErrConflict, "a merge made before the tombstone")
	}
	m.Tombstones = []string{op.Tombstone.ID}
	res, err = s.Commit(t.Context(), "t", testDay, Replace{Inputs: []string{"a2", "b2"}, Outputs: []*blocks.Meta{m}})
	require.NoError(t, err)
	require.Empty(t, maskedBy(res.Partition, op.Tombstone.ID))

	op.Day.Since = nil
	op.Tombstone.ID = "y"
	_, err = s.Commit(t.Context(), "t", testDay, op)
	require.ErrorIs(t, err, model.ErrInvalid)
}

// TestAddRepeatTooLate: what has been merged with what was written since stays, and the repeat says so.
func TestAddRepeatTooLate(t *testing.T) {
	s, op := repeatWorld(t)
	m := block(t, []string{"m", "0-60"})
	m.Writer, m.Replaces, m.Sources = "", []string{"a2", "b2"}, []blocks.Source{{Writer: "a", From: 2, To: 2}, {Writer: "b", From: 2, To: 2}}
	_, err := s.Commit(t.Context(), "t", testDay, Replace{Inputs: []string{"a2", "b2"}, Outputs: []*blocks.Meta{m}})
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), "t", testDay, op)
	var mixed *MixedError
	require.ErrorAs(t, err, &mixed)
	require.ErrorIs(t, err, model.ErrConflict)
	require.Equal(t, "m", mixed.Block)
	p, err := s.Partition(t.Context(), "t", testDay, nil)
	require.NoError(t, err)
	require.Len(t, p.Tombstones, 1)
}

func TestMoved(t *testing.T) {
	driver := faultblob.Wrap(mem.New())
	s, _ := newStore(driver, 1)
	ctx := t.Context()
	to, err := s.MovedTo(ctx, "a")
	require.NoError(t, err)
	require.Empty(t, to)
	for _, id := range []string{"b", "b", "c"} { // again, and to another id
		require.NoError(t, s.PutMoved(ctx, "a", id))
		to, err = s.MovedTo(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, id, to)
	}
	require.ErrorIs(t, s.PutMoved(ctx, "a/b", "c"), model.ErrInvalid)
	_, err = s.MovedTo(ctx, "../roster")
	require.ErrorIs(t, err, model.ErrInvalid)

	data, v, err := s.bucket.Get(ctx, movedKey("a"))
	require.NoError(t, err)
	_, err = s.bucket.PutIfAbsent(ctx, movedKey("z"), data)
	require.NoError(t, err)
	_, err = s.MovedTo(ctx, "z")
	require.ErrorIs(t, err, model.ErrCorrupt, "copied to another key")
	data[len(data)/2] ^= 1
	_, err = s.bucket.PutIf(ctx, movedKey("a"), data, v)
	require.NoError(t, err)
	_, err = s.MovedTo(ctx, "a")
	require.ErrorIs(t, err, model.ErrCorrupt)
	driver.SetHook(func(faultblob.Call) faultblob.Action {
		return faultblob.Action{Kind: faultblob.Fail, Err: blob.DeniedRead("403")}
	})
	_, err = s.MovedTo(ctx, "b")
	require.ErrorIs(t, err, blob.ErrDenied, "refused is not absent")
}

func TestDeletionChain(t *testing.T) {
	s, _ := newStore(mem.New(), 1)
	ctx := t.Context()
	_, err := s.Deletions(ctx, "t", "x1")
	require.ErrorIs(t, err, model.ErrNotFound)
	want := []*Deletion{fullDeletion()}
	for n := range 3 {
		if n > 0 {
			d := fullRepeat()
			d.ID, d.Of = RepeatID("x1", n), "x1"
			want = append(want, d)
		}
		_, err := s.CreateDeletion(ctx, want[n])
		require.NoError(t, err)
		chain, err := s.Deletions(ctx, "t", "x1")
		require.NoError(t, err)
		require.Equal(t, want, chain)
	}
	other := fullRepeat()
	other.ID, other.Of = RepeatID("x1", 3), "x9"
	_, err = s.CreateDeletion(ctx, other)
	require.NoError(t, err)
	_, err = s.Deletions(ctx, "t", "x1")
	require.ErrorIs(t, err, model.ErrConflict)
}
