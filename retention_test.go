package varve_test

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// TestRetentionHidesSeries: series that a rule lets expire leave the answers, then the blocks; the others stay, and late ones go too.
func TestRetentionHidesSeries(t *testing.T) {
	now := noon
	b := blob.New(mem.NewAt(func() time.Time { return now }), nil)
	defer b.Close()
	db := open(t, b, t.TempDir(), ingester.Config{})
	write := func() {
		_, err := db.AppendSeries(t.Context(), "default", at("kept", 1), at("short", 2), varve.Series{
			Labels: labels.FromStrings("__name__", "short", "job", "bill"), Samples: []model.Sample{{T: noon.UnixMilli(), V: 3}},
		})
		require.NoError(t, err)
		require.NoError(t, db.Flush(t.Context()))
	}
	ask := func() int {
		r, err := db.Query(t.Context(), "default", everything, noon)
		require.NoError(t, err)
		require.NoError(t, r.Err)
		v, err := r.Vector()
		require.NoError(t, err)
		return len(v)
	}
	write()
	c := catalog.New(b, nil, catalog.Components{})
	_, err := c.UpdateRoot(t.Context(), "default", func(r *catalog.Root) error {
		return lifecycle.SetRetention(r, &lifecycle.Retention{Raw: "30d", Rules: []lifecycle.RetentionRule{
			{Matchers: `{job="bill"}`, Raw: lifecycle.Forever}, {Matchers: `short`, Raw: "7d"},
		}})
	})
	require.NoError(t, err)
	clock := func() time.Time { return now }
	w, err := lifecycle.New(&lifecycle.Config{}, lifecycle.Components{Bucket: b, Now: clock, Catalog: catalog.New(b, nil, catalog.Components{Now: clock})})
	require.NoError(t, err)
	look := func() {
		r, err := w.Once(t.Context())
		require.NoError(t, err)
		require.Empty(t, r.Failures)
	}
	look()
	require.Equal(t, 3, ask())
	now = noon.Add(8 * 24 * time.Hour)
	look()
	require.Equal(t, 2, ask(), "the short one that is not of the exception")
	write()
	require.Equal(t, 3, ask(), "late")
	look()
	require.Equal(t, 2, ask())
	held := func() (samples int64) {
		p, err := c.Partition(t.Context(), "default", model.DayOf(noon.UnixMilli()), nil)
		require.NoError(t, err)
		for _, e := range p.Blocks {
			samples += e.Samples
		}
		return samples
	}
	require.Equal(t, int64(6), held())
	now = now.Add(time.Hour)
	look()
	require.Equal(t, int64(4), held(), "the blocks are rewritten")
	require.Equal(t, 2, ask())
	now = noon.Add(20 * 24 * time.Hour)
	look()
	look()
	p, err := c.Partition(t.Context(), "default", model.DayOf(noon.UnixMilli()), nil)
	require.NoError(t, err)
	require.Empty(t, p.Tombstones, "after a week they are forgotten, and not made again")
	now = noon.Add(32 * 24 * time.Hour)
	look()
	require.Equal(t, 1, ask(), "the exception")
	require.NoError(t, db.Close(t.Context()))
}

// TestDeletedTenant: queries and writes are refused, and the others go on.
func TestDeletedTenant(t *testing.T) {
	b := blob.New(mem.New(), nil)
	defer b.Close()
	db := open(t, b, t.TempDir(), ingester.Config{})
	for _, tenant := range []string{"a", "b"} {
		_, err := db.AppendSeries(t.Context(), tenant, at("up", 1))
		require.NoError(t, err)
	}
	require.NoError(t, db.Flush(t.Context()))
	_, err := db.AppendSeries(t.Context(), "a", at("in memory", 1))
	require.NoError(t, err)
	c := catalog.New(b, nil, catalog.Components{})
	root, err := c.DeleteTenant(t.Context(), "a")
	require.NoError(t, err)
	for range 2 {
		r, err := db.Query(t.Context(), "a", everything, noon)
		if err == nil {
			err = r.Err
		}
		require.ErrorIs(t, err, model.ErrNotFound)
		require.ErrorContains(t, err, "tenant a: tenant was deleted")
		r, err = db.Query(t.Context(), "b", everything, noon)
		require.Equal(t, map[string]float64{"up": 1}, values(t, r, err))
		for _, day := range root.Days {
			_, err := c.Bury(t.Context(), root, day)
			require.NoError(t, err)
		}
	}
	require.NoError(t, db.Flush(t.Context()))
	_, err = db.AppendSeries(t.Context(), "a", at("up", 1))
	require.ErrorIs(t, err, model.ErrNotFound)
	_, err = db.AppendSeries(t.Context(), "b", at("up", 1))
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
}
