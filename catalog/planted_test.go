//go:build planted

package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/model"
)

// TestRefusedMeansFailed loses the answer of the write below a bucket that retries, so that the store is refused by its own success.
func TestRefusedMeansFailed(t *testing.T) {
	for _, bug := range []planted.Bug{planted.None, planted.RefusedMeansFailed} {
		planted.Plant(bug)
		d := faultblob.Wrap(mem.New())
		d.SetHook(faultblob.Nth(4, faultblob.Action{Kind: faultblob.LoseAnswer}))
		c := newClock()
		s := New(blob.New(d, &blob.Options{Retries: 2, MaxInFlight: 1, Clock: c}), nil, Components{Now: c.Now, Sleep: c.Sleep})
		res, err := s.Commit(t.Context(), "t", testDay, add("w", 1))
		if bug == planted.None {
			require.NoError(t, err)
			require.Equal(t, Added, res.Outcome)
			require.Equal(t, int64(1), s.Conflicts())
		} else {
			require.ErrorIs(t, err, model.ErrConflict)
		}
		planted.Plant(planted.None)
	}
}
