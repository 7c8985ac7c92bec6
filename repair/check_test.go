package repair

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

func TestHealthyBucketHasNoFindings(t *testing.T) {
	w := newWorld(t)
	w.healthy()
	w.load()
	w.healthy()
	r := w.check(Deep)
	require.Equal(t, 2, r.Tenants)
	require.NotZero(t, r.Partitions)
	require.NotZero(t, r.Samples)
	w.nowMs += 2 * 3_600_000
	w.merge()
	w.healthy()
}

// TestFindings damages a bucket in one way at a time: the check names the object, and says the kind.
func TestFindings(t *testing.T) {
	type damage struct {
		name     string
		depth    Depth
		do       func(w *world, m *blocks.Meta) (object string)
		kind     string
		severity Severity
		what     string
	}
	flip := func(at func(m *blocks.Meta, n int) int) func(*world, *blocks.Meta) string {
		return func(w *world, m *blocks.Meta) string {
			data := w.get(blocks.Key(m))
			data[at(m, len(data))] ^= 0x10
			w.put(blocks.Key(m), data)
			return blocks.Key(m)
		}
	}
	const day = "/c/" + "20241004"
	for _, d := range []damage{
		{"chunk flipped", Deep, flip(func(m *blocks.Meta, _ int) int { return int(m.Chunks.Offset) + 20 }), KindDamaged, Lost, " at "},
		{"run flipped", Deep, flip(func(m *blocks.Meta, _ int) int { return int(m.Runs.Offset) + int(m.Runs.Length)/2 }), KindDamaged, Lost, "checksum"},
		{"series flipped", Deep, flip(func(m *blocks.Meta, _ int) int { return int(m.SeriesPages.Offset) + int(m.SeriesPages.Length)/2 }), KindDamaged, Lost, " at "},
		{"unknown version", Footers, flip(func(m *blocks.Meta, _ int) int { return int(m.Postings.End()) }), KindVersion, Lost, "version 17"},
		{"footer flipped", Footers, flip(func(_ *blocks.Meta, n int) int { return n - 60 }), KindDamaged, Lost, "corrupt"},
		{"trailer flipped", Footers, flip(func(_ *blocks.Meta, n int) int { return n - 10 }), KindDiffers, Lost, "differ"},
		{"layout version", Deep, flip(func(*blocks.Meta, int) int { return 7 }), KindDamaged, Lost, "checksum"},
		{"truncated", Quick, func(w *world, m *blocks.Meta) string {
			w.put(blocks.Key(m), w.get(blocks.Key(m))[:m.Size-1])
			return blocks.Key(m)
		}, KindDamaged, Lost, "bytes"},
		{"missing", Quick, func(w *world, m *blocks.Meta) string {
			w.delete(blocks.Key(m))
			return blocks.Key(m)
		}, KindMissing, Lost, "missing"},
		{"swapped", Footers, func(w *world, m *blocks.Meta) string {
			_, other := w.build(m.Tenant, m.Day, "other", 1)
			w.put(blocks.Key(m), other)
			return blocks.Key(m)
		}, "", Lost, ""},
		{"orphan", Quick, func(w *world, m *blocks.Meta) string {
			o, _ := w.build(m.Tenant, m.Day, "other", 1)
			return blocks.Key(o)
		}, KindOrphan, Note, "no catalog names"},
		{"foreign", Quick, func(w *world, m *blocks.Meta) string {
			w.put(blocks.Key(m)+".txt", nil)
			return blocks.Key(m) + ".txt"
		}, KindForeign, Note, ""},
		{"catalog flipped", Quick, func(w *world, m *blocks.Meta) string {
			data := w.get("t/a" + day)
			data[len(data)/2] ^= 1
			w.put("t/a"+day, data)
			return "t/a" + day
		}, KindCatalog, Lost, "checksum"},
		{"catalog missing", Quick, func(w *world, m *blocks.Meta) string {
			w.delete("t/a" + day)
			return "t/a" + day
		}, KindMissing, Lost, "root names the day"},
		{"root flipped", Quick, func(w *world, m *blocks.Meta) string {
			data := w.get("t/a/root")
			data[9] ^= 1
			w.put("t/a/root", data)
			return "t/a/root"
		}, KindCatalog, Lost, "checksum"},
		{"root missing", Quick, func(w *world, m *blocks.Meta) string {
			w.delete("t/a/root")
			return "t/a/root"
		}, KindMissing, Lost, "root is missing"},
		{"roster missing", Quick, func(w *world, m *blocks.Meta) string {
			w.delete("w/roster")
			return "w/roster"
		}, KindMissing, Lost, "roster is missing"},
		{"root lacks a day", Quick, func(w *world, m *blocks.Meta) string {
			data := w.get("t/a/root")
			require.NoError(w.t, w.catalog.EnterDay(w.t.Context(), "a", testDay))
			root, err := w.catalog.Root(w.t.Context(), "a", nil)
			require.NoError(w.t, err)
			require.NotNil(w.t, data)
			require.NoError(w.t, w.catalog.PutRebuiltRoot(w.t.Context(), &catalog.Root{Tenant: "a", Days: []model.Day{testDay + 1}}, root.Version))
			return "t/a/root"
		}, KindDays, Wrong, testDay.Dashed()},
		{"generation in two blocks", Quick, func(w *world, m *blocks.Meta) string {
			p, err := w.catalog.Partition(w.t.Context(), "a", testDay, nil)
			require.NoError(w.t, err)
			twice := *p
			e := p.Blocks[0]
			copied := *e.Meta
			copied.ID = "copy"
			w.put(blocks.Key(&copied), w.get(blocks.Key(e.Meta)))
			twice.Blocks = append(twice.Blocks, catalog.Entry{Meta: &copied, Order: p.Generation})
			require.NoError(w.t, w.catalog.PutRebuiltPartition(w.t.Context(), &twice, p.Version))
			return blocks.Key(&copied)
		}, KindDouble, Wrong, "generation"},
		{"samples twice in one order", Deep, doubleInOneOrder, KindDouble, Wrong, "samples of this block"},
		{"one order, two merges", Quick, func(w *world, m *blocks.Meta) string {
			doubleInOneOrder(w, m)
			p, err := w.catalog.Partition(w.t.Context(), "a", testDay, nil)
			require.NoError(w.t, err)
			other := *p.Blocks[1].Meta
			other.Replaces = []string{"something"}
			p.Blocks[1].Meta = &other
			require.NoError(w.t, w.catalog.PutRebuiltPartition(w.t.Context(), p, p.Version))
			return blocks.Key(&other)
		}, KindOverlap, Wrong, "not of one merge"},
		{"hole in a log", Quick, func(w *world, m *blocks.Meta) string {
			_, err := w.catalog.Register(w.t.Context(), catalog.Writer{ID: "w1", Shipping: true})
			require.NoError(w.t, err)
			w.put(wal.SegmentKey("w1", 1000, 0), []byte("x"))
			w.put(wal.SegmentKey("w1", 1000, 2), []byte("x"))
			return wal.SegmentKey("w1", 1000, 2)
		}, KindLog, Lost, "segment 1 of generation 1000"},
		{"damaged segment", Footers, func(w *world, m *blocks.Meta) string {
			_, err := w.catalog.Register(w.t.Context(), catalog.Writer{ID: "w1", Shipping: true})
			require.NoError(w.t, err)
			w.put(wal.SegmentKey("w1", 1000, 0), []byte("x"))
			return wal.SegmentKey("w1", 1000, 0)
		}, KindLog, Lost, "corrupt"},
	} {
		t.Run(d.name, func(t *testing.T) {
			w := newWorld(t)
			w.flush("a", testDay)
			m := w.flush("a", testDay)
			require.Equal(t, testDay.String(), "20241004")
			w.healthy()
			object := d.do(w, m)
			var of []Finding
			for _, f := range w.check(d.depth).Findings {
				if f.Object == object {
					of = append(of, f)
				} else {
					t.Logf("besides: %+v", f)
				}
			}
			require.NotEmpty(t, of)
			text, err := json.Marshal(of)
			require.NoError(t, err)
			if d.kind != "" {
				require.Contains(t, string(text), `"kind":"`+d.kind+`"`)
			}
			require.Contains(t, string(text), `"severity":"`+string(d.severity)+`"`)
			require.Contains(t, string(text), d.what)
		})
	}
}

// doubleInOneOrder puts a second block with the same samples beside the first, as if one merge had made both.
func doubleInOneOrder(w *world, _ *blocks.Meta) string {
	p, err := w.catalog.Partition(w.t.Context(), "a", testDay, nil)
	require.NoError(w.t, err)
	c := &model.Columns{}
	c.Append(testDay.Range().MinMs, 1)
	in := []blocks.BuildSeries{{Labels: labels.FromStrings("__name__", "m"), Columns: c}}
	next := *p
	next.Blocks = nil
	for n := range uint64(2) {
		m, _ := w.buildOf("a", testDay, "w3", n+1, in)
		next.Blocks = append(next.Blocks, catalog.Entry{Meta: m, Order: 1})
	}
	next.Flushed = map[string]uint64{"w3": 2}
	require.NoError(w.t, w.catalog.PutRebuiltPartition(w.t.Context(), &next, p.Version))
	return blocks.Key(next.Blocks[0].Meta)
}

// TestCheckChangesNothing and narrows down.
func TestCheckChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.load()
	before := w.keys("")
	w.check(Deep)
	require.Equal(t, before, w.keys(""))
	day := testDay
	r, err := Check(t.Context(), w.components(), &Options{Tenant: "a", Day: &day})
	require.NoError(t, err)
	require.Equal(t, 1, r.Partitions)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Check(ctx, w.components(), nil)
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, strings.HasPrefix(err.Error(), "check: "))
}

// TestCheckDeletions: the record of a delete is looked at, since a rebuild would miss it.
func TestCheckDeletions(t *testing.T) {
	w := newWorld(t)
	w.flush("a", testDay)
	d, err := w.catalog.CreateDeletion(t.Context(), &catalog.Deletion{
		Tenant: "a", ID: "del", CreatedMs: w.nowMs, Range: testDay.Range(), Matchers: `{__name__="m"}`,
		Days: []catalog.DeletionDay{{Day: testDay, Flushed: map[string]uint64{"w1": 1}}},
	})
	require.NoError(t, err)
	check := func() []Finding {
		r, err := Check(t.Context(), w.components(), nil)
		require.NoError(t, err)
		return r.Findings
	}
	require.Empty(t, check())
	key := catalog.DeletionPrefix("a") + d.ID
	whole := w.get(key)
	for bit := range 8 * len(whole) {
		bad := slices.Clone(whole)
		bad[bit/8] ^= 1 << (bit % 8)
		w.put(key, bad)
		found := check()
		require.Len(t, found, 1, "bit %d", bit)
		require.Equal(t, key, found[0].Object, "bit %d", bit)
		require.Equal(t, Wrong, found[0].Severity)
	}
	for n := range whole {
		w.put(key, whole[:n])
		require.Len(t, check(), 1, "cut to %d", n)
	}
	w.put(key, whole)
	require.Empty(t, check())
}
