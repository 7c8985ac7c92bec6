package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

func TestRoster(t *testing.T) {
	s, _ := newStore(mem.New(), 1)
	ctx := t.Context()
	_, err := s.SetReleased(ctx, "w", 1)
	require.ErrorIs(t, err, model.ErrNotFound)
	_, err = s.Register(ctx, Writer{ID: "../w"})
	require.ErrorIs(t, err, model.ErrInvalid)

	_, err = s.Register(ctx, Writer{ID: "w", Address: "a:1", Mode: "fsync", StartedMs: 5})
	require.NoError(t, err)
	_, err = s.Register(ctx, Writer{ID: "b", Shipping: true})
	require.NoError(t, err)
	_, err = s.SetReleased(ctx, "w", 7)
	require.NoError(t, err)
	before, err := s.SetReleased(ctx, "w", 3)
	require.NoError(t, err)
	require.Equal(t, uint64(7), before.Find("w").Released, "never lowered")
	_, err = s.SetState(ctx, "w", Clean)
	require.NoError(t, err)
	r, err := s.Register(ctx, Writer{ID: "w", Address: "a:3", Mode: "object", StartedMs: 9})
	require.NoError(t, err)
	require.Equal(t, []Writer{
		{ID: "b", Shipping: true, State: Active},
		{ID: "w", Address: "a:3", Mode: "object", Released: 7, State: Active, StartedMs: 9},
	}, r.Writers)
	same, err := s.Register(ctx, Writer{ID: "w", Address: "a:3", Mode: "object", StartedMs: 9})
	require.NoError(t, err)
	require.Equal(t, r.Generation, same.Generation, "no change, no write")

	_, err = s.SetState(ctx, "w", Adopted)
	require.NoError(t, err)
	_, err = s.Register(ctx, Writer{ID: "w"})
	require.ErrorIs(t, err, model.ErrConflict)
	_, err = s.SetState(ctx, "w", Active)
	require.ErrorIs(t, err, model.ErrConflict)
	require.Equal(t, Clean.String(), "clean")
}

func TestRosterLostAnswers(t *testing.T) {
	enumerate(t, faultblob.Action{Kind: faultblob.LoseAnswer}, func(t *testing.T, d *faultblob.Driver) {
		s, _ := newStore(d, 1)
		for _, id := range []string{"a", "b", "c"} {
			_, err := s.Register(t.Context(), Writer{ID: id})
			require.NoError(t, err)
		}
		r, err := s.SetReleased(t.Context(), "b", 2)
		require.NoError(t, err)
		require.Equal(t, uint64(4), r.Generation, "each update is written once")
		require.Len(t, r.Writers, 3)
	})
}
