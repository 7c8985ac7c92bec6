package prom

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/tombstones"
	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// TestLogSeries compares with a map: references that say the same again, get other labels, and have labels longer than a block.
func TestLogSeries(t *testing.T) {
	rng := migratetest.Rand(t)
	parent := t.TempDir()
	s, err := newLogSeries(parent)
	require.NoError(t, err)
	want := map[chunks.HeadSeriesRef]labels.Labels{}
	check := func(ref chunks.HeadSeriesRef) {
		got, err := s.labels(s.places[ref])
		require.NoError(t, err)
		require.Equal(t, want[ref], got)
	}
	for range 30_000 {
		ref := chunks.HeadSeriesRef(rng.IntN(5000) * 7)
		ls, known := want[ref]
		if !known || rng.IntN(20) == 0 {
			ls = labels.FromStrings("__name__", fmt.Sprint("m", rng.IntN(10)), "x", strings.Repeat("x", rng.IntN(1500)))
			if rng.IntN(500) == 0 {
				ls = labels.FromStrings("long", strings.Repeat("y", rng.IntN(10*labelBlockBytes)), "z", "")
			}
		}
		size := s.size()
		require.NoError(t, s.put(ref, ls))
		if known && labels.Equal(ls, want[ref]) {
			require.Equal(t, size, s.size(), "it is written once")
		}
		want[ref] = ls
		check(ref)
		for other := range want {
			check(other)
			break
		}
	}
	require.Greater(t, s.end, int64(labelBlocks*labelBlockBytes), "there are more blocks than slots")
	for ref := range want {
		check(ref)
	}
	require.NoError(t, s.Close())
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestDamagedLogSeries: no byte of the file may change, and none may be missing, without an error.
func TestDamagedLogSeries(t *testing.T) {
	rng := migratetest.Rand(t)
	s, err := newLogSeries(t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	of := func(ref chunks.HeadSeriesRef) labels.Labels {
		return labels.FromStrings("__name__", fmt.Sprint("m", ref))
	}
	for ref := chunks.HeadSeriesRef(1); s.end == 0; ref++ {
		require.NoError(t, s.put(ref, of(ref)))
	}
	good, err := os.ReadFile(s.f.Name())
	require.NoError(t, err)
	found := 0
	for range 300 {
		b := append([]byte(nil), good...)
		at := rng.IntN(len(b))
		b[at] ^= 1 << rng.IntN(8)
		require.NoError(t, os.WriteFile(s.f.Name(), b, 0o600))
		s.blocks = [labelBlocks]labelBlock{}
		for ref, p := range s.places {
			got, err := s.labels(p)
			if err != nil {
				require.ErrorIs(t, err, model.ErrCorrupt)
				require.ErrorContains(t, err, s.f.Name())
				found++
				continue
			}
			require.Equal(t, of(ref), got)
		}
	}
	require.Equal(t, 300, found, "each damage is found, in one record")
	require.NoError(t, os.Truncate(s.f.Name(), int64(len(good))-1))
	s.blocks = [labelBlocks]labelBlock{}
	_, err = s.block(s.end/labelBlockBytes - 1)
	require.Error(t, err)
}

// TestLogSeriesMemory: labels take none.
func TestLogSeriesMemory(t *testing.T) {
	s, err := newLogSeries(t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const series = 100_000
	pod := strings.Repeat("p", 400)
	before := heap()
	for i := range series {
		require.NoError(t, s.put(chunks.HeadSeriesRef(i*3), labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "pod", pod)))
	}
	require.Greater(t, s.size(), int64(400*series))
	used := int64(heap()) - int64(before) - labelBlocks*labelBlockBytes - 4*labelTailBytes
	require.Less(t, used, int64(50*series), "a series takes the same whatever its labels are")
	runtime.KeepAlive(s)
}

// TestSpreadDeletes compares with deletes of which each is looked for in all references of its labels.
func TestSpreadDeletes(t *testing.T) {
	rng := migratetest.Rand(t)
	for range 30 {
		s, err := newLogSeries(t.TempDir())
		require.NoError(t, err)
		of := map[chunks.HeadSeriesRef]int{} // the series
		distinct := 1 + rng.IntN(40)
		for ref := range chunks.HeadSeriesRef(100) {
			of[ref] = rng.IntN(distinct)
			require.NoError(t, s.put(ref, labels.FromStrings("a", "of another"))) // what it said before does not count
			require.NoError(t, s.put(ref, labels.FromStrings("a", fmt.Sprint(of[ref]))))
		}
		var d logDeletes
		gone := map[int]map[int64]bool{}
		for range rng.IntN(60) {
			ref := chunks.HeadSeriesRef(rng.IntN(120)) // some are not wanted
			from := rng.Int64N(50) - 5
			to := from + rng.Int64N(10) - 1
			d.add(stretch{ref, from, to})
			if rng.IntN(10) == 0 {
				d.settle()
			}
			if series, ok := of[ref]; ok {
				for at := from; at <= to; at++ {
					if gone[series] == nil {
						gone[series] = map[int64]bool{}
					}
					gone[series][at] = true
				}
			}
		}
		require.NoError(t, d.spread(s))
		for ref, series := range of {
			for at := int64(-10); at < 70; at++ {
				require.Equal(t, gone[series][at], s.places[ref].deleted() && d.has(ref, at), "reference %d of series %d at %d", ref, series, at)
			}
			require.Equal(t, len(gone[series]) > 0, s.places[ref].deleted(), "reference %d of series %d", ref, series)
		}
		require.NoError(t, s.Close())
	}
}

// TestManyDeletes of the same series are not held.
func TestManyDeletes(t *testing.T) {
	rng := migratetest.Rand(t)
	var d logDeletes
	for range 10 * leastSettled {
		from := rng.Int64N(1000)
		d.add(stretch{chunks.HeadSeriesRef(rng.IntN(5)), from, from + 100})
		require.LessOrEqual(t, len(d.all), leastSettled)
	}
}

// TestReferences takes over a log in which series have several references, a checkpoint says what segments say too, and a number is used for another series.
func TestReferences(t *testing.T) {
	dir := t.TempDir()
	var e record.Encoder
	at := migratetest.FirstDay.Range().MinMs
	ls := func(i int) labels.Labels { return labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)) }
	series := func(of map[chunks.HeadSeriesRef]int) []byte {
		var all []record.RefSeries
		for ref, i := range of {
			all = append(all, record.RefSeries{Ref: ref, Labels: ls(i)})
		}
		return e.Series(all, nil)
	}
	sample := func(ref chunks.HeadSeriesRef, s int64) []byte {
		return e.Samples([]record.RefSample{{Ref: ref, T: at + s*1000, V: float64(s)}}, nil)
	}
	log := func(dir string, first bool, records ...[]byte) {
		w, err := wlog.New(nil, nil, dir, compression.None)
		require.NoError(t, err)
		if !first {
			_, err = w.NextSegment()
			require.NoError(t, err)
		}
		require.NoError(t, w.Log(records...))
		require.NoError(t, w.Close())
	}
	wal := filepath.Join(dir, "wal")
	log(filepath.Join(wal, "checkpoint.00000000"), true, series(map[chunks.HeadSeriesRef]int{1: 1, 2: 2}), sample(1, 1), sample(2, 2))
	log(wal, false,
		series(map[chunks.HeadSeriesRef]int{1: 1, 2: 2, 3: 3}), sample(1, 3), sample(3, 4),
		series(map[chunks.HeadSeriesRef]int{11: 1, 2: 4}), sample(11, 5), sample(2, 6), sample(3, 7),
		e.Tombstones([]tombstones.Stone{{Ref: storage.SeriesRef(11), Intervals: tombstones.Intervals{{Mint: at, Maxt: at + 3000}}}}, nil),
		sample(99, 8))
	want := map[string]string{}
	for s, i := range map[int64]int{2: 2, 4: 3, 5: 1, 6: 4, 7: 3} {
		migratetest.Put(want, ls(i), &model.Columns{T: []int64{at + s*1000}, V: []float64{float64(s)}})
	}
	w := newWorld(t)
	_, skips := w.tsdb(migratetest.Small(), dir)
	require.Equal(t, map[string]int64{"samples": 1}, skips.Counts(), "of reference 99")
	w.Complete(want)
}

// TestNoDiskForLabels names what failed and leaves nothing.
func TestNoDiskForLabels(t *testing.T) {
	dir, db := lateDatabase(t, 0, 600_000)
	require.NoError(t, db.Close())
	src, err := OpenTSDB(dir, migrate.NewSkips(true), &TSDBOptions{TempDir: filepath.Join(t.TempDir(), "none")})
	require.NoError(t, err)
	_, err = src.Days(context.Background(), migratetest.FirstDay.Range(), func(labels.Labels) bool { return true })
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, src.Close())
}
