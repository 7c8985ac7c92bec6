package repair

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// rollUp lets a worker that keeps raw samples of some series for some days work for some hours, from so many days after the first day.
func (w *world) rollUp(days int64, hours int) {
	_, err := w.catalog.UpdateRoot(w.t.Context(), "a", func(root *catalog.Root) error {
		return lifecycle.SetRetention(root, &lifecycle.Retention{Raw: "9d", Rollups: "365d", Rules: []lifecycle.RetentionRule{{Matchers: `{i="3"}`, Raw: "5d"}}})
	})
	require.NoError(w.t, err)
	w.nowMs = max(w.nowMs, testDay.Range().MaxMs+1+days*model.MsPerDay)
	cfg := &lifecycle.Config{Compact: lifecycle.CompactSettings{MinOutputBytes: 1}}
	l, err := lifecycle.New(cfg, lifecycle.Components{Bucket: w.bucket, Catalog: w.catalog, Now: w.now, Sleep: w.sleep})
	require.NoError(w.t, err)
	for range hours {
		r, err := l.Once(w.t.Context())
		require.NoError(w.t, err)
		require.Empty(w.t, r.Failures)
		w.nowMs += 3_600_000
	}
}

// rolled is what all live rollups say.
func (w *world) rolled() map[string]string {
	out := map[string]string{}
	for _, day := range []model.Day{testDay, testDay + 1} {
		p := w.partition("a", day)
		for i := range p.Rollups {
			e := &p.Rollups[i]
			masks, err := catalog.BlockMasks(p.Masks(e))
			require.NoError(w.t, err)
			r := blocks.NewRollupReader(w.t.Context(), blocks.Stored{Bucket: w.bucket}, e.Meta, masks, nil)
			for r.Next() {
				x := r.Rollup()
				for j, at := range x.T {
					v := ""
					for a := range x.V {
						v += fmt.Sprint(x.V[a][j], " ")
					}
					out[fmt.Sprint(e.Format, r.Labels(), at)] = v
				}
			}
			require.NoError(w.t, r.Err())
			r.Close()
		}
	}
	return out
}

func (w *world) partition(tenant string, day model.Day) *catalog.Partition {
	p, err := w.catalog.Partition(context.Background(), tenant, day, nil)
	require.NoError(w.t, err)
	return p
}

// TestRebuildRolled: catalogs that know rollups are lost. While raw samples are all there rollups are made anew, to the same; afterwards they are kept, and what
// comes late is added once.
func TestRebuildRolled(t *testing.T) {
	for _, days := range []int64{2, 6, 10} {
		t.Run(fmt.Sprint(days, " days"), func(t *testing.T) {
			for range 3 {
				w := newWorld(t)
				for range 12 {
					w.flush("a", testDay+model.Day(w.rng.IntN(2)))
				}
				w.rollUp(2, 3)
				w.rollUp(days, 3)
				want, raw := w.rolled(), w.read()
				require.NotEmpty(t, want)
				thinned := w.partition("a", testDay).Thinned
				require.Equal(t, days > 5, thinned)
				w.healthy()
				for _, key := range catalogKeys(w.keys("t/")) {
					w.delete(key)
				}
				before := w.keys("r/")
				r := w.rebuild(nil)
				require.Len(t, r.Days, 2)
				require.Equal(t, before, w.keys("r/"))
				require.Equal(t, thinned, w.partition("a", testDay).Thinned)
				require.Equal(t, thinned, r.Days[0].Rollups > 0)
				if thinned {
					require.Equal(t, want, w.rolled())
				}
				w.healthy()
				w.rollUp(0, 30)
				require.Equal(t, want, w.rolled())
				require.Equal(t, raw, w.read())
				w.healthy()
				if thinned {
					w.flush("a", testDay)
					w.rollUp(0, 3)
					for key := range want {
						require.Contains(t, w.rolled(), key)
					}
					require.Empty(t, w.partition("a", testDay).Unrolled())
				}
			}
		})
	}
}

// TestRollupFindings damages rollups and what the catalog says of them.
func TestRollupFindings(t *testing.T) {
	for name, c := range map[string]struct {
		damage   func(w *world, p *catalog.Partition)
		severity Severity
		kind     string
	}{
		"missing": {func(w *world, p *catalog.Partition) { w.delete(blocks.Key(p.Rollups[0].Meta)) }, Wrong, KindMissing},
		"flipped": {func(w *world, p *catalog.Partition) {
			key := blocks.Key(p.Rollups[1].Meta)
			data := w.get(key)
			data[p.Rollups[1].SeriesPages.Offset+30] ^= 1
			w.put(key, data)
		}, Lost, KindDamaged},
		"short": {func(w *world, p *catalog.Partition) {
			key := blocks.Key(p.Rollups[1].Meta)
			w.put(key, w.get(key)[1:])
		}, Lost, KindDamaged},
		"marked": {func(w *world, p *catalog.Partition) {
			m, _ := w.build("a", testDay, "w1", 77)
			next := *p
			next.Blocks = append([]catalog.Entry{}, p.Blocks...)
			next.Blocks = append(next.Blocks, catalog.Entry{Meta: m, Order: p.Generation, Rolled: true})
			next.Flushed = map[string]uint64{"w1": 77, "w2": p.Flushed["w2"]}
			require.NoError(w.t, w.catalog.PutRebuiltPartition(w.t.Context(), &next, p.Version))
		}, Wrong, KindRolled},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for range 6 {
				w.flush("a", testDay)
			}
			w.rollUp(2, 3)
			w.healthy()
			require.NotZero(t, w.check(Deep).Windows)
			c.damage(w, w.partition("a", testDay))
			found := false
			for _, f := range w.check(Deep).Findings {
				found = found || f.Severity == c.severity && f.Kind == c.kind
			}
			require.True(t, found, "%+v", w.check(Deep).Findings)
			// What is wrong about rollups of a day with all its raw samples is mended from these.
			want := w.read()
			day := testDay
			w.rebuild(&Options{Force: true, Tenant: "a", Day: &day})
			require.Empty(t, w.partition("a", testDay).Rollups)
			w.rollUp(2, 3)
			require.NotEmpty(t, w.rolled())
			if name != "marked" {
				require.Equal(t, want, w.read())
			}
			for _, f := range w.check(Deep).Findings {
				require.Equal(t, Note, f.Severity, "%+v", f)
			}
		})
	}
}
