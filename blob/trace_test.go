package blob_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

// seen is a trace that remembers, and refuses the key "no".
type seen struct {
	mu       sync.Mutex
	requests []blob.Request
	bytes    int64
}

var errRefused = errors.New("refused")

func (s *seen) trace() *blob.Trace {
	return &blob.Trace{
		Begin: func(r blob.Request) error {
			if r.Key == "no" {
				return errRefused
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.requests = append(s.requests, r)
			return nil
		},
		End: func(_ blob.Request, bytes int64) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.bytes += bytes
		},
	}
}

func TestTrace(t *testing.T) {
	b := blob.New(mem.New(), &blob.Options{Prefix: "some/where"})
	for _, key := range []string{"a", "no"} {
		_, err := b.Put(t.Context(), key, make([]byte, 200<<10))
		require.NoError(t, err)
	}
	var s seen
	ctx := blob.WithTrace(t.Context(), s.trace())
	require.Zero(t, blob.LastStage(ctx))
	_, _, err := b.Get(ctx, "a")
	require.NoError(t, err)
	_, _, err = b.Get(ctx, "missing")
	require.ErrorIs(t, err, model.ErrNotFound)
	require.Equal(t, 1, blob.LastStage(ctx))

	// Two branches, one of which goes a stage further.
	next := blob.AfterStage(ctx, blob.LastStage(ctx))
	branch := blob.AfterStage(next, 0)
	require.Equal(t, 1, blob.LastStage(branch))
	_, err = b.ReadRanges(branch, "a", []blob.Range{{Offset: 0, Length: 10}, {Offset: 150 << 10, Length: 10}}, nil)
	require.NoError(t, err)
	for _, err := range b.List(blob.AfterStage(branch, blob.LastStage(branch)), "a") {
		require.NoError(t, err)
	}
	require.Equal(t, []int{3, 3, 3}, []int{blob.LastStage(branch), blob.LastStage(next), blob.LastStage(ctx)})
	_, _, err = b.Get(blob.AfterStage(next, 0), "no")
	require.ErrorIs(t, err, errRefused)

	require.ElementsMatch(t, []blob.Request{
		{Key: "a", Stage: 1, Bytes: -1},
		{Key: "missing", Stage: 1, Bytes: -1},
		{Key: "a", Stage: 2, Bytes: 10},
		{Key: "a", Stage: 2, Bytes: 10},
		{Key: "a", Stage: 3, Bytes: -1, List: true},
	}, s.requests)
	require.Equal(t, int64(200<<10+20), s.bytes)

	// Waiting for the requests of others is a stage like one's own.
	waiting := blob.AfterStage(ctx, 1)
	blob.Waited(waiting, blob.StagesOf(branch))
	require.Equal(t, 3, blob.LastStage(waiting), "of the same trace")
	waiting = blob.AfterStage(ctx, 4)
	var other seen
	blob.Waited(waiting, blob.StagesOf(blob.WithTrace(t.Context(), other.trace())))
	require.Equal(t, 5, blob.LastStage(waiting), "of another trace")
	blob.Waited(t.Context(), blob.StagesOf(t.Context()))

	require.Zero(t, blob.LastStage(t.Context()))
	require.Equal(t, t.Context(), blob.AfterStage(t.Context(), 5), "no trace, no cost")
	_, _, err = b.Get(context.WithoutCancel(t.Context()), "a")
	require.NoError(t, err)
	require.Len(t, s.requests, 5)
}
