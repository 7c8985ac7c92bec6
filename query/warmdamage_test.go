package query

import (
	"context"
	"os"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// TestWarmDamage spoils, cuts short and removes the copies between queries and while one decodes. No query fails, and
// none but that one goes to the bucket.
func TestWarmDamage(t *testing.T) {
	w := newWorld(t)
	m := w.flushTargets(1, day0, t0, 300)
	dir := t.TempDir()
	q := w.warm(0, dir, nil, false)
	defer q.close()
	cpu := labels.MustNewMatcher(labels.MatchEqual, metricName, "cpu")
	file := func() string { return copiesIn(t, dir)[0] }
	var meanwhile func()
	run := func(ctx context.Context, q *Queryable) {
		querier, err := q.Querier(t0, t0+model.MsPerDay-1)
		require.NoError(t, err)
		defer querier.Close()
		set := querier.Select(ctx, true, nil, cpu)
		require.NoError(t, set.Err())
		if meanwhile != nil {
			meanwhile()
		}
		require.Equal(t, 300*120, count(t, set))
	}
	copied := func() {
		for n := 0; len(copiesIn(t, dir)) == 0; n++ {
			require.Less(t, n, 100, "no copy is made")
			q.ask(w.ctx(), run)
			q.bytes.Drain(t.Context())
		}
		gets, _, _ := q.ask(w.ctx(), run)
		require.Zero(t, gets)
	}
	flip := func() {
		b, err := os.ReadFile(file())
		require.NoError(t, err)
		for at := range b {
			b[at] ^= 0x10
		}
		require.NoError(t, os.WriteFile(file(), b, 0o600))
	}
	for name, spoil := range map[string]func(){
		"flipped":   flip,
		"truncated": func() { require.NoError(t, os.Truncate(file(), m.Size/10)) },
		"removed":   func() { require.NoError(t, os.Remove(file())) },
	} {
		t.Run(name, func(t *testing.T) {
			copied()
			spoil()
			gets, _, e := q.ask(w.ctx(), run)
			require.Positive(t, gets)
			require.Zero(t, e.CacheHits)
			require.Empty(t, copiesIn(t, dir))
			copied()
			meanwhile = spoil
			gets, _, _ = q.ask(w.ctx(), run)
			meanwhile = nil
			require.Zero(t, gets, "what was read of a copy stays good")
			gets, _, _ = q.ask(w.ctx(), run)
			require.Positive(t, gets)
		})
	}
}

// spoiler flips a bit in what it reads: of all if on, else of what lies below an offset.
type spoiler struct {
	cache.Reader
	on     bool
	chunks int64
}

func (s *spoiler) ReadRanges(ctx context.Context, key string, ranges []blob.Range, o *blob.ReadOptions) ([][]byte, error) {
	out, err := s.Reader.ReadRanges(ctx, key, ranges, o)
	for i := range out {
		if s.on || ranges[i].Offset < s.chunks {
			out[i] = append([]byte(nil), out[i]...)
			out[i][len(out[i])/2] ^= 1
		}
	}
	return out, err
}

// TestWarmTransfer keeps in memory what was spoiled on its way: one query fails, and the next is right.
func TestWarmTransfer(t *testing.T) {
	w := newWorld(t)
	m := w.flushTargets(1, day0, t0, 300)
	s := &spoiler{}
	q := w.warm(16<<20, "", func(r cache.Reader) cache.Reader { s.Reader = r; return s }, true)
	defer q.close()
	cpu := labels.MustNewMatcher(labels.MatchEqual, metricName, "cpu")
	ask := func() (int, error) {
		querier, err := q.Querier(t0, t0+model.MsPerDay-1)
		require.NoError(t, err)
		defer querier.Close()
		return tally(querier.Select(w.ctx(), true, nil, cpu))
	}
	for _, on := range []bool{true, false} { // chunks alone are spoiled the second time
		s.on = on
		if !on {
			s.chunks = m.Chunks.End()
			q.bytes.Forget(blocks.Key(m))
		}
		_, err := ask()
		require.ErrorIs(t, err, model.ErrCorrupt)
		s.on, s.chunks = false, 0
		n, err := ask()
		require.NoError(t, err)
		require.Equal(t, 300*120, n)
	}
}

// TestWarmGone: the copy of a block that has left the catalog goes when a query sees that.
func TestWarmGone(t *testing.T) {
	w := newWorld(t)
	first, second := w.flushTargets(1, day0, t0, 100), w.flushTargets(2, day0, t0+7_200_000, 100)
	dir := t.TempDir()
	q := w.warm(0, dir, nil, false)
	defer q.close()
	ask := func() {
		querier, err := q.Querier(t0, t0+model.MsPerDay-1)
		require.NoError(t, err)
		set := querier.Select(w.ctx(), true, nil)
		require.Positive(t, count(t, set))
		require.NoError(t, querier.Close())
		q.bytes.Drain(t.Context())
	}
	for n := 0; len(copiesIn(t, dir)) < 2; n++ {
		require.Less(t, n, 100, "no copies are made")
		ask()
	}
	_, err := w.store.Commit(t.Context(), testTenant, day0, catalog.Retire{IDs: []string{first.ID}})
	require.NoError(t, err)
	ask()
	got := copiesIn(t, dir)
	require.Len(t, got, 1)
	require.Contains(t, got[0], second.ID)
}
