package lifecycle

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// report is the erasure report of "x", with the kinds of its holders, sorted.
func (w *world) report() (*Erasure, []string) {
	r, err := ReportErasure(context.Background(), w.own, w.catalog, "t", "x")
	require.NoError(w.t, err)
	kinds := []string{}
	for _, h := range r.Holders {
		kinds = append(kinds, h.Kind)
		require.NotEmpty(w.t, h.Why)
	}
	slices.Sort(kinds)
	require.Equal(w.t, len(r.Holders)+len(r.Unreached) == 0, r.Erased)
	return r, kinds
}

// holder is the one of the kind.
func (w *world) holder(kind string) Holder {
	r, _ := w.report()
	i := slices.IndexFunc(r.Holders, func(h Holder) bool { return h.Kind == kind })
	require.GreaterOrEqual(w.t, i, 0, "%s: %+v", kind, r.Holders)
	return r.Holders[i]
}

// eraser erases at once and merges nothing.
func (w *world) eraser() *Lifecycle {
	l, _ := w.worker(&Config{EraseAfter: -1, Sequential: true, Merge: MergeSettings{MaxBlocks: 1000}, Compact: CompactSettings{Off: true}})
	return l
}

// put puts an object that nobody's catalog names.
func (w *world) put(key string, data []byte) {
	_, err := w.own.PutIfAbsent(context.Background(), key, data)
	require.NoError(w.t, err)
}

// TestErasureHolders walks a delete from its first moment to its last, and through all that may stand in its way.
func TestErasureHolders(t *testing.T) {
	w := newWriters(t, "a", "b")
	for _, id := range []string{"a", "b"} {
		w.write(id, 1)
	}
	w.write("a", 2)
	w.flushOf("a", "a")
	w.snapshot("then")
	w.down["b"] = true
	d, _ := w.deleter()
	_, err := w.delete(d, "x")
	require.NoError(t, err)

	// A live block, its snapshot, the log of a writer that has not released it, and a writer that was not reached.
	r, kinds := w.report()
	require.Equal(t, []string{"live block", "log", "snapshot"}, kinds)
	require.Equal(t, []string{"b"}, r.Unreached)
	require.Equal(t, blocks.Key(w.partition().Blocks[0].Meta), w.holder("live block").Object)
	require.Equal(t, "then", w.holder("snapshot").Object)
	require.Equal(t, "w/a", w.holder("log").Object)

	// The writer releases; its shipped segment is still there, and so is one of a later generation, and a fence, which hold nothing.
	_, err = w.catalog.SetReleased(t.Context(), "a", 1)
	require.NoError(t, err)
	segment := bytes.Repeat([]byte{7}, wal.MaxFenceBytes+1)
	w.put(wal.SegmentKey("a", 1, 0), segment)
	w.put(wal.SegmentKey("a", 1, 1), segment)
	w.put(wal.SegmentKey("a", 2, 0), segment)
	w.put(wal.SegmentKey("a", 1, 2), wal.FenceSegment("a", 1, 2, "test"))
	r, kinds = w.report()
	require.Equal(t, []string{"live block", "log", "snapshot"}, kinds, "%+v", r.Holders)
	require.Equal(t, wal.SegmentKey("a", 1, 0), w.holder("log").Object, "one line for each generation")
	require.NoError(t, w.own.Delete(t.Context(), wal.SegmentKey("a", 1, 0), wal.SegmentKey("a", 1, 1)))

	// The repeat reaches the other writer.
	w.down["b"] = false
	_, err = w.delete(d, "x")
	require.NoError(t, err)
	_, err = w.catalog.SetReleased(t.Context(), "b", 1)
	require.NoError(t, err)
	r, kinds = w.report()
	require.Empty(t, r.Unreached)
	require.Equal(t, []string{"live block", "live block", "snapshot"}, kinds)

	// Erased: retired blocks, one of which the snapshot keeps.
	w.once(w.eraser())
	require.Empty(t, w.partition().Blocks, "nothing else was in them")
	_, kinds = w.report()
	require.Equal(t, []string{"retired block", "retired block", "snapshot"}, kinds)
	w.nowMs += 2 * 3600 * 1000
	w.once(w.eraser())
	_, kinds = w.report()
	require.Equal(t, []string{"retired block", "snapshot"}, kinds)
	require.NoError(t, w.catalog.DeleteSnapshot(t.Context(), "t", "then"))
	w.once(w.eraser())
	r, _ = w.report()
	require.True(t, r.Erased, "%+v", r.Holders)

	// What is written now is nobody's business.
	w.write("a", 3)
	w.flushOf("a", "a")
	r, _ = w.report()
	require.True(t, r.Erased, "%+v", r.Holders)
}

// orphan uploads a block of the writer's generation that is never committed.
func (w *world) orphan(writer string, gen uint64, tombstones ...string) string {
	var b bytes.Buffer
	c := &model.Columns{}
	c.Append(testDay.Range().MinMs+5, 1)
	m, err := blocks.Build(context.Background(), &blocks.Params{Tenant: "t", Day: testDay, Writer: writer, Generation: gen, Attempt: 9, Tombstones: tombstones, CreatedMs: w.nowMs},
		seqOf([]blocks.BuildSeries{{Labels: labels.FromStrings("__name__", "m", "w", writer), Columns: c}}), &b)
	require.NoError(w.t, err)
	w.put(blocks.Key(m), b.Bytes())
	return blocks.Key(m)
}

// TestErasureOfOthers: an orphan that is older than the delete holds it, one to which it was applied or that is newer does not. A block that cannot be read may; one
// that is gone though the catalog names it is a fault that the report names. Quarantined blocks are left alone, and so named.
func TestErasureOfOthers(t *testing.T) {
	w := newWriters(t, "a")
	w.write("a", 1)
	w.flushOf("a", "a")
	_, err := w.catalog.SetReleased(t.Context(), "a", 1)
	require.NoError(t, err)
	d, _ := w.deleter()
	_, err = w.delete(d, "x")
	require.NoError(t, err)
	w.once(w.eraser())
	w.nowMs += 2 * 3600 * 1000
	w.once(w.eraser())
	r, _ := w.report()
	require.True(t, r.Erased)

	older := w.orphan("a", 1)
	w.orphan("a", 2)
	w.orphan("z", 1)
	require.Equal(t, older, w.holder("other block").Object)
	_, kinds := w.report()
	require.Len(t, kinds, 1)
	require.NoError(t, w.own.Delete(t.Context(), older))
	w.orphan("a", 1, "x")
	r, _ = w.report()
	require.True(t, r.Erased)

	bad := blocks.KeyOf("t", testDay, "unreadable", blocks.Native)
	w.put(bad, bytes.Repeat([]byte("no block "), 50))
	require.Equal(t, bad, w.holder("unreadable block").Object)
	require.NoError(t, w.own.Delete(t.Context(), bad))

	w = newWriters(t, "a")
	w.write("a", 1)
	w.flushOf("a", "a")
	_, err = w.catalog.SetReleased(t.Context(), "a", 1)
	require.NoError(t, err)
	d, _ = w.deleter()
	_, err = w.delete(d, "x")
	require.NoError(t, err)
	m := w.partition().Blocks[0].Meta
	_, err = w.catalog.Commit(t.Context(), "t", testDay, catalog.Quarantine{IDs: []string{m.ID}, Reason: "for a test"})
	require.NoError(t, err)
	w.once(w.eraser())
	require.Contains(t, w.holder("live block").Why, "quarantined")
	w.flip(m, m.SeriesPages.Offset+9)
	require.Equal(t, blocks.Key(m), w.holder("unreadable block").Object)
	require.NoError(t, w.own.Delete(t.Context(), blocks.Key(m)))
	require.Contains(t, w.holder("catalog").Why, "fsck")
}

// TestErasureUncommitted: a delete that ended before it reached the day.
func TestErasureUncommitted(t *testing.T) {
	w := newWriters(t, "a")
	w.write("a", 1)
	w.flushOf("a", "a")
	_, err := w.catalog.SetReleased(t.Context(), "a", 1)
	require.NoError(t, err)
	req := w.request("x", "m", -1e6, 1e9)
	_, err = w.catalog.CreateDeletion(t.Context(), &catalog.Deletion{
		Tenant: "t", ID: "x", CreatedMs: w.nowMs, Range: req.Range, Matchers: catalog.FormatSelectors(req.Selectors),
		Days: []catalog.DeletionDay{{Day: testDay, Flushed: map[string]uint64{"a": 1}}},
	})
	require.NoError(t, err)
	require.Contains(t, w.holder("live block").Why, "repeat it")
	require.Len(t, w.sees(), 1)
	d, _ := w.deleter()
	_, err = w.delete(d, "x")
	require.NoError(t, err)
	require.Empty(t, w.sees())
	require.Contains(t, w.holder("live block").Why, "rewritten")
}

// TestEraseParquet: what is deleted of a day that is compacted leaves its parquet blocks by the job, which writes only those again that hold something of it, in
// their format; every other sample keeps its bits.
func TestEraseParquet(t *testing.T) {
	w := closedDay(t, 6)
	l, _ := w.worker(daily())
	require.Equal(t, 1, w.once(l).Compactions)
	_, cold := w.formats()
	require.Equal(t, 3, cold)
	before := w.partition().Blocks
	d, _ := w.deleter()
	_, err := d.Delete(t.Context(), w.request("x", `{__name__="m1"}`, 10_000, 60_000))
	require.NoError(t, err)
	want := w.readMasked()
	require.NotEqual(t, len(w.read()), len(want))
	cfg := daily()
	cfg.EraseAfter = -1
	l, _ = w.worker(cfg)
	r := w.once(l)
	require.Equal(t, 1, r.Erasures)
	require.Equal(t, 2, r.Settled)
	require.Equal(t, want, w.read(), "nothing is left that a mask would hide, and all else is")
	hot, cold := w.formats()
	require.Zero(t, hot)
	require.Equal(t, 3, cold)
	kept := 0
	for _, e := range w.partition().Blocks {
		require.Contains(t, e.Tombstones, "x")
		if slices.ContainsFunc(before, func(b catalog.Entry) bool { return b.ID == e.ID }) {
			kept++
		}
		data, _, err := w.own.Get(t.Context(), blocks.Key(e.Meta))
		require.NoError(t, err)
		require.NoError(t, blocks.Verify(data))
	}
	require.Equal(t, 2, kept, "the others were not written again")
	_, err = d.Delete(t.Context(), w.request("all", `{__name__="m2"}`, -1e9, 1e9))
	require.NoError(t, err)
	w.once(l)
	_, cold = w.formats()
	require.Equal(t, 2, cold, "a block of which nothing is left has no successor")
	require.Equal(t, w.readMasked(), w.read())
}

// TestAskToClean: whoever asks through the bucket is heard by every worker with its next look, and once; a worker that begins later hears what was asked a moment ago.
func TestAskToClean(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.catalog.AskToClean(t.Context(), "nobody"))
	_, _, err := w.own.Get(t.Context(), "t/nobody/clean")
	require.ErrorIs(t, err, model.ErrNotFound)
	quiet := &Config{Sequential: true, Merge: MergeSettings{MaxBlocks: 1000}, Compact: CompactSettings{Off: true}}
	l, _ := w.worker(quiet)
	for n := range 3 {
		w.flushes(2)
		d, _ := w.deleter()
		_, err := d.Delete(t.Context(), w.request("", `{__name__="m1"}`, -1e6, 1e9))
		require.NoError(t, err)
		for range 3 {
			require.Zero(t, w.once(l).Erasures+w.once(l).Settled, "it waits for a merge")
		}
		require.NoError(t, w.catalog.AskToClean(t.Context(), "t"))
		if n == 1 {
			l, _ = w.worker(quiet)
		}
		r := w.once(l)
		require.Positive(t, r.Erasures, "round %d: %+v", n, r)
		require.Equal(t, w.readMasked(), w.read())
		w.nowMs += hintMs
	}
	late, _ := w.worker(quiet)
	w.once(late)
	require.Zero(t, late.hint.Load(), "long ago")
	_, err = w.catalog.DeleteTenant(t.Context(), "t")
	require.NoError(t, err)
	require.ErrorIs(t, w.catalog.AskToClean(t.Context(), "t"), catalog.ErrGravestone)
}
