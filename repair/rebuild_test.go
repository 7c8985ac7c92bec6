package repair

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

func (w *world) rebuild(o *Options) *Rebuilt {
	r, err := Rebuild(w.t.Context(), w.components(), o)
	require.NoError(w.t, err)
	return r
}

// TestRebuildEveryCatalog: with all catalogs gone, or damaged, or roots and roster too, the same samples are there afterwards, and nothing is wrong.
func TestRebuildEveryCatalog(t *testing.T) {
	for _, how := range []string{"catalogs deleted", "catalogs damaged", "everything deleted", "everything damaged"} {
		t.Run(how, func(t *testing.T) {
			for range 5 {
				w := newWorld(t)
				w.load()
				want := w.read()
				flushed := map[string]map[string]uint64{}
				keys := catalogKeys(w.keys("t/"))
				for _, key := range keys {
					tenant, day, _ := catalog.ParsePartitionKey(key)
					p, err := w.catalog.Partition(t.Context(), tenant, day, nil)
					require.NoError(t, err)
					flushed[key] = p.Flushed
				}
				if strings.HasPrefix(how, "everything") {
					keys = append(keys, "t/a/root", "t/b/root", "w/roster")
				}
				blocksBefore := w.keys("d/")
				for _, key := range keys {
					if strings.HasSuffix(how, "deleted") {
						w.delete(key)
					} else {
						w.put(key, w.get(key)[:w.rng.IntN(30)])
					}
				}
				require.NotZero(t, w.check(Quick).Bad())

				before := w.keys("")
				dry := w.rebuild(&Options{DryRun: true})
				require.Equal(t, before, w.keys(""))
				require.Len(t, dry.Days, len(flushed))

				w.nowMs++
				r := w.rebuild(nil)
				require.Len(t, r.Days, len(flushed))
				require.Equal(t, want, w.read())
				require.Equal(t, blocksBefore, w.keys("d/"))
				w.healthy()
				for key, was := range flushed {
					tenant, day, _ := catalog.ParsePartitionKey(key)
					p, err := w.catalog.Partition(t.Context(), tenant, day, nil)
					require.NoError(t, err)
					for writer, g := range p.Flushed {
						require.LessOrEqual(t, g, was[writer], "a watermark that is too high loses samples")
					}
				}
				if strings.HasSuffix(how, "damaged") {
					for _, d := range r.Days {
						require.NotEmpty(t, d.Copy)
						require.Less(t, len(w.get(d.Copy)), 30)
					}
				}
				again := w.rebuild(nil)
				require.Empty(t, again.Days)
				require.Equal(t, len(flushed), again.Healthy)

				// Life goes on: writers flush again what they had not released, merges and collection do their work.
				w.flush("a", testDay)
				want = w.read()
				w.nowMs += 3 * 3_600_000
				w.merge()
				w.nowMs += 3 * 24 * 3_600_000
				w.merge()
				require.Equal(t, want, w.read())
				w.healthy()
			}
		})
	}
}

// TestRebuildLeavesHealthyCatalogsAlone unless it is forced, which takes a tenant.
func TestRebuildLeavesHealthyCatalogsAlone(t *testing.T) {
	w := newWorld(t)
	w.load()
	want := w.read()
	old := w.get("t/a/c/" + testDay.String())
	require.Empty(t, w.rebuild(nil).Days)
	require.Equal(t, old, w.get("t/a/c/"+testDay.String()))
	_, err := Rebuild(t.Context(), w.components(), &Options{Force: true})
	require.ErrorIs(t, err, model.ErrInvalid)
	day := testDay
	r := w.rebuild(&Options{Force: true, Tenant: "a", Day: &day})
	require.Len(t, r.Days, 1)
	require.Equal(t, old, w.get(r.Days[0].Copy))
	require.Equal(t, want, w.read())
	w.healthy()
}

// TestRebuildWithDamagedBlocks names them and takes the others.
func TestRebuildWithDamagedBlocks(t *testing.T) {
	w := newWorld(t)
	good, bad := w.flush("a", testDay), w.flush("a", testDay)
	w.put(blocks.Key(bad), w.get(blocks.Key(bad))[:bad.Size-3])
	w.delete("t/a/c/" + testDay.String())
	r := w.rebuild(nil)
	require.Len(t, r.Days[0].Damaged, 1)
	require.Contains(t, r.Days[0].Damaged[0], blocks.Key(bad))
	p, err := w.catalog.Partition(t.Context(), "a", testDay, nil)
	require.NoError(t, err)
	require.NotNil(t, p.Live(good.ID))
	require.Nil(t, p.Live(bad.ID))
}

func TestWatermarks(t *testing.T) {
	flushed := func(writer string, gens ...uint64) (out []*blocks.Meta) {
		for _, g := range gens {
			out = append(out, &blocks.Meta{Writer: writer, Generation: g})
		}
		return out
	}
	roster := &catalog.Roster{Writers: []catalog.Writer{{ID: "w", Released: 5}}}
	for _, c := range []struct {
		name   string
		all    []*blocks.Meta
		roster *catalog.Roster
		want   map[string]uint64
	}{
		{"released", flushed("w", 2, 4), roster, map[string]uint64{"w": 4}},
		{"goes on behind what was released", flushed("w", 2, 6, 7), roster, map[string]uint64{"w": 7}},
		{"a gap may be a block to come", flushed("w", 2, 7, 8), roster, map[string]uint64{"w": 2}},
		{"nothing is proven", flushed("w", 7), roster, map[string]uint64{}},
		{"a job counts from 0", flushed("job", 0, 1, 3), roster, map[string]uint64{"job": 1}},
		{"a job without its beginning", flushed("job", 1), roster, map[string]uint64{}},
		{"no roster", flushed("w", 1, 2, 4), nil, map[string]uint64{"w": 2}},
		{"a merge", []*blocks.Meta{{Sources: []blocks.Source{{Writer: "w", From: 3, To: 9}}}}, roster, map[string]uint64{"w": 9}},
		{"out of range", []*blocks.Meta{{Sources: []blocks.Source{{Writer: "w", From: 0, To: 1<<64 - 1}}}}, roster, map[string]uint64{"w": 1<<64 - 1}},
	} {
		require.Equal(t, c.want, watermarks(c.all, c.roster), c.name)
	}
}

// TestRebuildMasks: what was deleted stays deleted, and what was written after it stays, in whatever order the blocks come.
func TestRebuildMasks(t *testing.T) {
	w := newWorld(t)
	series := func(writer string, gen uint64, at int64) *blocks.Meta {
		c := &model.Columns{}
		c.Append(testDay.Range().MinMs+at, float64(gen))
		m, _ := w.buildOf("a", testDay, writer, gen, []blocks.BuildSeries{{Labels: labels.FromStrings("__name__", "m"), Columns: c}})
		_, err := w.catalog.Commit(t.Context(), "a", testDay, catalog.Add{Writer: writer, Generation: gen, Meta: m})
		require.NoError(t, err)
		return m
	}
	w.nowMs += 10_000
	series("w1", 1, 1)
	w.nowMs -= 5000 // another machine's clock
	series("w2", 1, 2)
	d := &catalog.Deletion{
		Tenant: "a", ID: "del", CreatedMs: w.nowMs, Range: testDay.Range(), Matchers: `{__name__="m"}`,
		Days: []catalog.DeletionDay{{Day: testDay, Flushed: map[string]uint64{"w1": 1, "w2": 1}}},
	}
	_, err := w.catalog.CreateDeletion(t.Context(), d)
	require.NoError(t, err)
	_, err = w.catalog.Commit(t.Context(), "a", testDay, catalog.AddTombstone(d.Tombstone()))
	require.NoError(t, err)
	series("w2", 2, 3) // made before w1's, by its clock
	require.NoError(t, w.catalog.EnterDay(t.Context(), "b", testDay))
	w.put("t/b/c/"+testDay.String(), nil)
	w.delete("t/b/c/"+testDay.String(), "t/b/root")
	want := w.read()
	require.Len(t, want, 1)
	w.delete("t/a/c/" + testDay.String())
	r := w.rebuild(nil)
	require.Equal(t, []string{"del"}, r.Days[0].Tombstones)
	require.Equal(t, want, w.read())
}

// TestRebuildRoster: what is proven of a writer, and that the rest has to start or to be adopted.
func TestRebuildRoster(t *testing.T) {
	w := newWorld(t)
	w.load()
	ctx := t.Context()
	log := make([]byte, wal.MaxFenceBytes+1)
	for _, id := range []string{"adopted", "halfway", "gone"} {
		require.NoError(t, w.catalog.PutWriterID(ctx, id))
	}
	w.put(wal.SegmentKey("adopted", 4, 2), wal.FenceSegment("adopted", 4, 2, "x"))
	w.put(wal.SegmentKey("halfway", 4, 0), log)
	w.put(wal.SegmentKey("halfway", 4, 1), wal.FenceSegment("halfway", 4, 1, "x"))
	w.put(wal.SegmentKey("gone", 7, 0), log)
	w.put(wal.SegmentKey("gone", 8, 0), log)
	w.delete("w/roster")
	r := w.rebuild(nil)
	require.Len(t, r.Problems, 4)
	roster, err := w.catalog.Roster(ctx, nil)
	require.NoError(t, err)
	for id, want := range map[string]catalog.Writer{
		"adopted": {State: catalog.Adopted, Released: 4}, "halfway": {State: catalog.Active, Released: 3}, "gone": {State: catalog.Active, Released: 6},
		"w1": {State: catalog.Active, Released: w.gens["w1"]}, "w2": {State: catalog.Active, Released: w.gens["w2"]},
	} {
		got := roster.Find(id)
		require.NotNil(t, got, id)
		require.Equal(t, want.State, got.State, id)
		require.Equal(t, want.Released, got.Released, id)
	}
}

// TestChoose: of a merge and what went into it one is left out, but only if that is proven.
func TestChoose(t *testing.T) {
	w := newWorld(t)
	for range 6 {
		w.flush("a", testDay)
	}
	l, err := lifecycle.New(&lifecycle.Config{Merge: lifecycle.MergeSettings{MaxBlocks: 3}}, lifecycle.Components{Bucket: w.bucket, Catalog: w.catalog, Now: w.now, Sleep: w.sleep})
	require.NoError(t, err)
	_, err = l.Once(t.Context())
	require.NoError(t, err)
	p, err := w.catalog.Partition(t.Context(), "a", testDay, nil)
	require.NoError(t, err)
	metas := func() (all []*blocks.Meta) {
		b := &rebuilder{c: w.components(), o: (*Options)(nil).withDefaults()}
		all, damaged, err := b.footers(t.Context(), partition{"a", testDay}, nil)
		require.NoError(t, err)
		require.Empty(t, damaged)
		return all
	}
	chosen, left, err := choose(t.Context(), blocks.Stored{Bucket: w.bucket}, metas(), 1<<20)
	require.NoError(t, err)
	for _, l := range left {
		require.NotEmpty(t, l.meta.Replaces, "all inputs are there")
	}
	require.Len(t, chosen, 6)
	w.delete(blocks.KeyOf("a", testDay, p.Retired[0].ID, p.Retired[0].Format))
	chosen, left, err = choose(t.Context(), blocks.Stored{Bucket: w.bucket}, metas(), 1<<20)
	require.NoError(t, err)
	require.Len(t, chosen, len(p.Blocks))
	for _, l := range left {
		require.True(t, p.IsRetired(l.meta.ID))
	}
}
