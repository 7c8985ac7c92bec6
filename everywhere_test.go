package varve_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/api"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/repair"
)

// everywhere is a server whose samples, of one tenant and the day of noon, are taken through all the places in which they can lie.
type everywhere struct {
	t       *testing.T
	bucket  *blob.Bucket
	catalog *catalog.Store
	day     model.Day
	dir     string
	db      *varve.DB
	h       http.Handler
	writes  atomic.Int64
}

// clock is that of the server: it is afternoon, and later with each write.
func (e *everywhere) clock() time.Time {
	return noon.Add(3*time.Hour + time.Duration(e.writes.Load())*time.Second)
}

func newEverywhere(t *testing.T) *everywhere {
	t.Helper()
	e := &everywhere{t: t, day: model.DayOf(noon.UnixMilli())}
	e.bucket = blob.New(mem.NewAt(e.clock), &blob.Options{PartBytes: 3000})
	t.Cleanup(func() { require.NoError(t, e.bucket.Close()) })
	e.catalog = catalog.New(e.bucket, nil, catalog.Components{Now: e.clock})
	e.start(t.TempDir())
	return e
}

func (e *everywhere) start(dir string) {
	e.t.Helper()
	var err error
	e.dir = dir
	e.db, err = varve.Open(e.t.Context(), &varve.Options{OpenedBucket: e.bucket, DataDir: dir, Now: e.clock})
	require.NoError(e.t, err)
	e.h, err = api.New(nil, api.Components{Engine: e.db.Engine(), Queryable: e.db.Queryable(), Parser: e.db.Parser(), Now: e.clock})
	require.NoError(e.t, err)
}

// walk takes what was appended from memory to where it may end, and asks after each step: it is the same. More is appended on the way; the last answer is returned.
func (e *everywhere) walk(more func(*varve.DB), ask func() string) string {
	t := e.t
	want := ask()
	// Killed and started again: all is in the log. The copy stands for the disk of a process that is gone.
	again := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.CopyFS(again, os.DirFS(e.dir)))
	e.start(again)
	same(t, want, ask(), "replayed")
	require.NoError(t, e.db.Flush(t.Context()))
	same(t, want, ask(), "hot block")
	for range 6 {
		e.writes.Add(1)
		more(e.db)
		require.NoError(t, e.db.Flush(t.Context()))
	}
	want = ask()
	e.look(&lifecycle.Config{Merge: lifecycle.MergeSettings{MaxBlocks: 3, MaxInputs: 5, MaxOutputSeries: 11}}, e.clock)
	same(t, want, ask(), "merged")
	e.look(&lifecycle.Config{Compact: lifecycle.CompactSettings{WaitForWriters: -100 * 365 * 24 * time.Hour, Settle: -1}}, e.clock)
	same(t, want, ask(), "parquet")
	p, err := e.catalog.Partition(t.Context(), "default", e.day, nil)
	require.NoError(t, err)
	require.True(t, p.Blocks[0].Format.IsParquet())

	c := repair.Components{Bucket: e.bucket, Catalog: e.catalog, NowMs: func() int64 { return e.clock().UnixMilli() }}
	checked, err := repair.Check(t.Context(), c, &repair.Options{})
	require.NoError(t, err)
	require.Empty(t, checked.Findings)
	_, err = repair.Rebuild(t.Context(), c, &repair.Options{Tenant: "default", Force: true})
	require.NoError(t, err)
	same(t, want, ask(), "rebuilt")
	return want
}

// look lets a worker look at the bucket once, with something to do.
func (e *everywhere) look(cfg *lifecycle.Config, clock func() time.Time) {
	e.t.Helper()
	w, err := e.db.Lifecycle(cfg, lifecycle.Components{Now: clock})
	require.NoError(e.t, err)
	r, err := w.Once(e.t.Context())
	require.NoError(e.t, err)
	require.Empty(e.t, r.Failures)
	require.Positive(e.t, r.Jobs, "%+v", r)
}

// same compares answers line by line: all of them at once are too long to be read.
func same(t *testing.T, want, got, where string) {
	t.Helper()
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	require.Len(t, g, len(w), where)
	for i := range w {
		at := 0
		for at < min(len(w[i]), len(g[i])) && w[i][at] == g[i][at] {
			at++
		}
		if w[i] != g[i] {
			t.Fatalf("%s: %s\nwant …%.300s\ngot  …%.300s", where, w[i-1], w[i][max(at-100, 0):], g[i][max(at-100, 0):])
		}
	}
}
