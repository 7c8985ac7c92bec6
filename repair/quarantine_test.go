package repair

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// TestQuarantine damages blocks that a merge then puts aside. Restored, they are readmitted and merged; for ever damaged, they are discarded and nothing else is.
func TestQuarantine(t *testing.T) {
	w := newWorld(t)
	var all []*blocks.Meta
	for range 4 {
		all = append(all, w.flush("a", testDay))
	}
	before := w.read()
	opts := &Options{Tenant: "a"}
	saved := map[string][]byte{}
	for _, m := range all[:2] {
		key := blocks.Key(m)
		saved[key] = w.get(key)
		bad := w.get(key)
		bad[m.Chunks.Offset+20] ^= 1
		w.put(key, bad)
		_, err := w.catalog.Commit(t.Context(), "a", testDay, catalog.Quarantine{IDs: []string{m.ID}, Reason: "it is damaged"})
		require.NoError(t, err)
	}
	list, err := ListQuarantined(t.Context(), w.components(), opts)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "it is damaged", list[0].Reason)
	require.Equal(t, all[0].Samples, list[0].Samples)

	// A check that reads no page names them as well.
	for _, depth := range []Depth{Quick, Footers, Deep} {
		report, err := Check(t.Context(), w.components(), &Options{Depth: depth})
		require.NoError(t, err)
		named := map[string]string{}
		for _, f := range report.Findings {
			if f.Kind == KindQuarantined {
				require.Equal(t, Wrong, f.Severity)
				named[f.Object] = f.What
			}
		}
		require.Len(t, named, 2)
		for key := range saved {
			require.Contains(t, named[key], "it is damaged")
		}
	}

	// Nothing was restored yet.
	list, err = Readmit(t.Context(), w.components(), opts, nil)
	require.NoError(t, err)
	require.Len(t, list, 2)
	for _, b := range list {
		require.False(t, b.Done)
		require.NotEmpty(t, b.Fault)
	}

	key := blocks.Key(all[0])
	w.put(key, saved[key])
	list, err = Readmit(t.Context(), w.components(), opts, nil)
	require.NoError(t, err)
	require.Len(t, list, 2)
	for _, b := range list {
		require.Equal(t, b.ID == all[0].ID, b.Done)
		require.Equal(t, b.Done, b.Fault == "")
	}
	p, err := w.catalog.Partition(t.Context(), "a", testDay, nil)
	require.NoError(t, err)
	require.Len(t, p.Quarantined, 1)

	// What can be read is not discarded, nor what is not there.
	for id, want := range map[string]error{all[0].ID: model.ErrConflict, all[3].ID: model.ErrConflict, "nosuch": model.ErrNotFound} {
		_, err = Discard(t.Context(), w.components(), opts, []string{id})
		require.ErrorIs(t, err, want)
	}
	_, err = Discard(t.Context(), w.components(), opts, nil)
	require.ErrorIs(t, err, model.ErrInvalid)
	_, err = Readmit(t.Context(), w.components(), opts, []string{"nosuch"})
	require.ErrorIs(t, err, model.ErrNotFound)
	p, err = w.catalog.Partition(t.Context(), "a", testDay, nil)
	require.NoError(t, err)
	require.Len(t, p.Blocks, 4)

	// A bucket that fails says nothing about a block.
	for n := 1; ; n++ {
		d := faultblob.Wrap(w.store)
		d.SetHook(faultblob.Nth(n, faultblob.Action{Kind: faultblob.Fail}))
		b := blob.New(d, &blob.Options{Retries: -1})
		c := Components{Bucket: b, Catalog: catalog.New(b, nil, catalog.Components{Now: w.now, Sleep: w.sleep}), NowMs: w.components().NowMs}
		_, err := Discard(t.Context(), c, opts, []string{all[0].ID})
		if d.Calls() < n {
			require.ErrorIs(t, err, model.ErrConflict)
			require.Greater(t, n, 4)
			break
		}
		require.Error(t, err)
		p, err = w.catalog.Partition(t.Context(), "a", testDay, nil)
		require.NoError(t, err)
		require.Len(t, p.Blocks, 4, "call %d", n)
	}

	list, err = Discard(t.Context(), w.components(), opts, []string{all[1].ID})
	require.NoError(t, err)
	require.True(t, list[0].Done)
	require.Contains(t, list[0].Fault, "checksum")
	want := w.read()
	require.Less(t, len(want), len(before))
	w.nowMs += 3 * 3_600_000
	w.merge()
	require.Equal(t, want, w.read())
	p, err = w.catalog.Partition(t.Context(), "a", testDay, nil)
	require.NoError(t, err)
	require.Empty(t, p.Quarantined)
	w.healthy()
}
