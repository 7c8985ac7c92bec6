package differential

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// deletion is one that is made before the round: it deletes what was delivered in earlier rounds, and nothing that comes later, be it late or for the second time.
// The reference is never given what will be deleted.
type deletion struct {
	round    int
	selector []*labels.Matcher
	r        model.TimeRange
}

// drawDeletions draws some: of hot blocks alone, of what has been merged or compacted meanwhile, and shortly before the last rounds, which stay in memtables.
func (w *world) drawDeletions() {
	if !w.deletes {
		return
	}
	rng := w.data.rng
	for _, round := range []int{closes, rounds/2 + 1, rounds - 2, rounds - 2} {
		d := deletion{round: round}
		s := w.data.series[rng.IntN(len(w.data.series))].labels
		pick, n := rng.IntN(s.Len()), 0
		s.Range(func(l labels.Label) {
			if n == pick || l.Name == "__name__" && rng.IntN(2) == 0 {
				d.selector = append(d.selector, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value))
			}
			n++
		})
		d.r.MinMs = dataFrom + rng.Int64N(dataTo-dataFrom)
		d.r.MaxMs = d.r.MinMs + rng.Int64N(dataTo-dataFrom)
		if rng.IntN(4) == 0 {
			d.r = model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}
		}
		w.deletions = append(w.deletions, d)
	}
}

// deleted reports whether a sample that is delivered in the round will be.
func (w *world) deleted(round int, ls labels.Labels, t int64) bool {
	for _, d := range w.deletions {
		if round >= d.round || !d.r.Contains(t) {
			continue
		}
		all := true
		for _, m := range d.selector {
			all = all && m.Matches(ls.Get(m.Name))
		}
		if all {
			return true
		}
	}
	return false
}

// delete makes the deletions that come before the round.
func (w *world) delete(t *testing.T, round int, running *[writers]*ingester.Ingester) {
	for _, one := range w.deletions {
		if one.round != round {
			continue
		}
		d := lifecycle.Deleter{Catalog: w.catalog, Flush: func(ctx context.Context, roster *catalog.Roster) []string {
			for _, ing := range running {
				if entry := roster.Find(ing.Writer()); entry != nil && entry.State == catalog.Active {
					require.NoError(t, ing.Flush(ctx))
				}
			}
			return nil
		}}
		got, err := d.Delete(t.Context(), &lifecycle.DeleteRequest{Tenant: tenant.Default, Selectors: [][]*labels.Matcher{one.selector}, Range: one.r})
		require.NoError(t, err)
		require.Empty(t, got.Unreached)
		w.recent = 0
	}
}

// erase applies what merges have not, block by block, in every other world.
func (w *world) erase(t *testing.T) {
	if !w.deletes || w.data.rng.IntN(2) == 0 {
		return
	}
	l, err := lifecycle.New(&lifecycle.Config{
		EraseAfter: -1, Merge: lifecycle.MergeSettings{MaxBlocks: 1000}, Compact: lifecycle.CompactSettings{Off: true}, Sequential: true,
		Orphans: lifecycle.OrphanSettings{Every: time.Hour},
	}, lifecycle.Components{Bucket: w.bucket, Catalog: w.catalog})
	require.NoError(t, err)
	r, err := l.Once(t.Context())
	require.NoError(t, err)
	require.Empty(t, r.Failures)
	w.erasures += r.Erasures
}
