package prom

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// compact lets a worker do what is due, two hours later.
func (w *world) compact() lifecycle.Report {
	w.NowMs += 2 * 3_600_000
	l, err := lifecycle.New(&lifecycle.Config{Sequential: true, Compact: lifecycle.CompactSettings{Settle: -time.Second}}, lifecycle.Components{
		Bucket: w.Own, Catalog: w.Catalog, Now: w.Now, Sleep: w.Sleep,
	})
	require.NoError(w.T, err)
	r, err := l.Once(context.Background())
	require.NoError(w.T, err)
	return r
}

// TestCompactionBeside ends a job at each of its calls, compacts what is there and collects what that leaves, and lets the job go on.
func TestCompactionBeside(t *testing.T) {
	dir, want := newWorld(t).database(1)
	compactions := 0
	for n := 1; ; n++ {
		w := newWorld(t)
		c, d := w.Components()
		d.SetHook(faultblob.Nth(n, faultblob.Action{Kind: faultblob.CrashAfter}))
		_ = w.run(c, dir)
		for range 2 {
			compactions += w.compact().Compactions
		}
		w.tsdb(migratetest.Small(), dir)
		w.Complete(want, "call %d", n)
		for range 2 {
			w.compact()
			w.Complete(want, "call %d, compacted", n)
		}
		r, _ := w.tsdb(migratetest.Small(), dir)
		require.Zero(t, r.Blocks)
		require.Equal(t, 1, r.Already)
		if d.Calls() < n {
			break
		}
	}
	require.Positive(t, compactions)
}

// TestOldUpload goes on with a block that was uploaded so long ago that it may be collected at any moment: it gets another name.
func TestOldUpload(t *testing.T) {
	dir, want := newWorld(t).database(1)
	w := newWorld(t)
	c, d := w.Components()
	puts := 0
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.Op == faultblob.OpPut {
			puts++
		}
		if puts == 2 { // the first is of the block, the second of the root
			return faultblob.Action{Kind: faultblob.CrashBefore}
		}
		return faultblob.Action{}
	})
	require.ErrorIs(t, w.run(c, dir), faultblob.ErrCrashed)
	w.NowMs += 2 * model.MsPerDay
	w.tsdb(migratetest.Small(), dir)
	w.Complete(want)
	p, err := w.Catalog.Partition(context.Background(), "t", migratetest.FirstDay, nil)
	require.NoError(t, err)
	require.Equal(t, uint32(1), p.Blocks[0].Attempt)
	require.Zero(t, p.Blocks[1].Attempt)
}
