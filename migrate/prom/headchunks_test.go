package prom

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// longLog is a database without blocks: its log has several segments, and chunks that are full are in files. It returns what is in it.
func longLog(t *testing.T, rng *rand.Rand) (dir string, want map[string]string) {
	dir = t.TempDir()
	opts := smallOptions()
	opts.OutOfOrderTimeWindow = 24 * 3_600_000
	db, err := tsdb.Open(dir, nil, nil, opts, nil)
	require.NoError(t, err)
	db.DisableCompactions()
	from := migratetest.FirstDay.Range().MinMs
	for i := range int64(900) {
		app := db.Appender(context.Background())
		for n := range 40 {
			_, err := app.Append(0, labels.FromStrings("__name__", "m", "x", fmt.Sprint(n)), from+i*15_000, rng.NormFloat64())
			require.NoError(t, err)
		}
		_, err = app.AppendHistogram(0, labels.FromStrings("__name__", "h"), from+i*15_000, tsdbutil.GenerateTestHistogram(i), nil)
		require.NoError(t, err)
		if i > 300 && i%3 == 0 {
			_, err = app.Append(0, labels.FromStrings("__name__", "m", "x", "0"), from+i*15_000-3_600_007, 7) // out of order
			require.NoError(t, err)
		}
		require.NoError(t, app.Commit())
	}
	db.ForceHeadMMap()
	want = migratetest.Contents(t, db)
	require.NoError(t, db.Close())
	require.Greater(t, len(want), 10_000)
	return dir, want
}

// logSegments are those of the log of that name, at least five.
func logSegments(t *testing.T, dir, name string) []string {
	out, err := filepath.Glob(filepath.Join(dir, name, "0*"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(out), 5)
	return out
}

// TestDamagedLog takes over what is in the files of chunks where a segment of the log is damaged: all that Prometheus has after it has cut the log off there, and what lies behind too.
func TestDamagedLog(t *testing.T) {
	w := newWorld(t)
	dir, want := longLog(t, w.Rand)
	logs := logSegments(t, dir, "wal")
	at := logs[1+w.Rand.IntN(len(logs)-2)]
	b, err := os.ReadFile(at)
	require.NoError(t, err)
	b[w.Rand.IntN(len(bytes.TrimRight(b, "\x00")))] ^= 0x55
	require.NoError(t, os.WriteFile(at, b, 0o600))
	_, skips := w.tsdb(migratetest.Small(), dir)
	require.Equal(t, map[string]int64{"log": 1}, skips.Counts())
	require.Contains(t, skips.Named()[0].String(), at)
	got, _, _ := w.Read()
	maps.DeleteFunc(got, func(k, v string) bool { return want[k] == v })
	require.Empty(t, got, "what was never there")

	// Prometheus mends its directory, so it comes last.
	opts := smallOptions()
	opts.OutOfOrderTimeWindow = 24 * 3_600_000
	db, err := tsdb.Open(dir, nil, nil, opts, nil)
	require.NoError(t, err)
	theirs := migratetest.Contents(t, db)
	require.NoError(t, db.Close())
	ours, _, _ := w.Read()
	maps.DeleteFunc(theirs, func(k, v string) bool { return ours[k] == v })
	require.Empty(t, theirs, "what Prometheus has and was not taken over")
}

// TestCutSegment takes the whole of the segment behind one that was cut off, wherever that was.
func TestCutSegment(t *testing.T) {
	w := newWorld(t)
	dir, want := longLog(t, w.Rand)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "chunks_head")))
	path := filepath.Join(dir, "wal", "00000002")
	left := len(want) + 1
	for _, size := range []int64{36864, 32768, 28672} {
		require.NoError(t, os.Truncate(path, size))
		w := newWorld(t)
		_, skips := w.tsdb(migratetest.Small(), dir)
		for _, s := range skips.Named() {
			require.Equal(t, path, s.Where)
		}
		got, _, samples := w.Read()
		require.Less(t, samples, left)
		require.Greater(t, samples, left*9/10, "a part of one segment of many is missing")
		left = samples
		maps.DeleteFunc(got, func(k, v string) bool { return want[k] == v })
		require.Empty(t, got, "what was never there")
	}
}

// TestDamagedLateLog takes out-of-order samples that are older than the blocks from the files of chunks, where their log is damaged: what Prometheus has after it has cut that off.
func TestDamagedLateLog(t *testing.T) {
	var times, late []int64
	for i := range int64(260) {
		times = append(times, i*60_000)
	}
	for i := range int64(100) {
		late = append(late, 200*60_000+i*15_000+7)
	}
	dir, db := lateDatabase(t, times...)
	from := migratetest.FirstDay.Range().MinMs
	require.NoError(t, db.CompactHead(tsdb.NewRangeHead(db.Head(), from, from+4*3_600_000-1)))
	appendTo(t, db, 1000, late...)
	db.ForceHeadMMap()
	require.NoError(t, db.Close())
	logs, err := filepath.Glob(filepath.Join(dir, "wbl", "0*"))
	require.NoError(t, err)
	for _, path := range logs {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		if len(b) > 12 {
			b[12] ^= 0x55
		}
		require.NoError(t, os.WriteFile(path, b, 0o600))
	}
	w := newWorld(t)
	_, skips := w.tsdb(migratetest.Small(), dir)
	require.NotEmpty(t, skips.Counts()["log"])
	ours, _, _ := w.Read()
	require.Greater(t, len(ours), 320)

	opts := smallOptions()
	opts.OutOfOrderTimeWindow = 3_600_000
	db, err = tsdb.Open(dir, nil, nil, opts, nil)
	require.NoError(t, err)
	theirs := migratetest.Contents(t, db)
	require.NoError(t, db.Close())
	maps.DeleteFunc(theirs, func(k, v string) bool { return ours[k] == v })
	require.Empty(t, theirs, "what Prometheus has and was not taken over")
}

// TestNoSegmentBehindCheckpoint names the one that must be there.
func TestNoSegmentBehindCheckpoint(t *testing.T) {
	w := newWorld(t)
	dir, _ := longLog(t, w.Rand)
	logs := logSegments(t, dir, "wal")
	checkpoint := filepath.Join(dir, "wal", "checkpoint.00000007")
	require.NoError(t, os.Mkdir(checkpoint, 0o750))
	require.NoError(t, os.Rename(logs[0], filepath.Join(checkpoint, "00000000")))
	for _, path := range logs[1:] {
		require.NoError(t, os.Remove(path))
	}
	_, skips := w.tsdb(migratetest.Small(), dir)
	require.Equal(t, filepath.Join(dir, "wal", "00000008"), skips.Named()[0].Where)
}

// TestMissingSegments takes over what is before and behind, and the rest from the files of chunks: what is missing is in chunks that were open.
func TestMissingSegments(t *testing.T) {
	w := newWorld(t)
	dir, want := longLog(t, w.Rand)
	logs := logSegments(t, dir, "wal")
	for _, path := range logs[2:4] {
		require.NoError(t, os.Remove(path))
	}
	_, skips := w.tsdb(migratetest.Small(), dir)
	require.Equal(t, map[string]int64{"log": 2}, skips.Counts())
	require.Contains(t, skips.Named()[0].String(), "00000002: segments are missing from this one on: 2")
	w.Complete(want) // the segments are from the middle, and chunks of that time are full
}

// TestMissingBeginning names how many samples have no series any more.
func TestMissingBeginning(t *testing.T) {
	w := newWorld(t)
	dir, _ := longLog(t, w.Rand)
	logs := logSegments(t, dir, "wal")
	require.NoError(t, os.Remove(logs[0]))
	r, skips := w.tsdb(migratetest.Small(), dir)
	require.Greater(t, skips.Counts()["samples"], int64(2000))
	require.Len(t, skips.Named(), 1)
	require.Contains(t, skips.Named()[0].String(), "the log does not name the series")
	require.Zero(t, r.Samples)
}

// TestDamagedHeadChunks names file and byte, and takes the chunks before and the other files.
func TestDamagedHeadChunks(t *testing.T) {
	w := newWorld(t)
	dir, want := longLog(t, w.Rand)
	logs := logSegments(t, dir, "wal")
	require.NoError(t, os.Remove(logs[2]))
	files, err := filepath.Glob(filepath.Join(dir, "chunks_head", "0*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	b[len(bytes.TrimRight(b, "\x00"))/2] ^= 1
	require.NoError(t, os.WriteFile(files[0], b, 0o600))
	_, skips := w.tsdb(migratetest.Small(), dir)
	require.Equal(t, map[string]int64{"log": 1, "chunk": 1}, skips.Counts())
	i := slices.IndexFunc(skips.Named(), func(s migrate.Skip) bool { return s.Kind == "chunk" })
	require.True(t, strings.HasPrefix(skips.Named()[i].String(), "chunk "+files[0]+" at byte "), skips.Named()[i].String())
	got, _, _ := w.Read()
	maps.DeleteFunc(got, func(k, v string) bool { return want[k] == v })
	require.Empty(t, got, "what was never there")
}

// FuzzHeadChunks reads anything to its end or to a place that it names, and gives only chunks that lie in it.
func FuzzHeadChunks(f *testing.F) {
	dir := f.TempDir()
	db, err := tsdb.Open(dir, nil, nil, smallOptions(), nil)
	require.NoError(f, err)
	app := db.Appender(context.Background())
	for i := range int64(300) {
		_, err := app.Append(0, labels.FromStrings("__name__", "m"), i*1000, float64(i))
		require.NoError(f, err)
	}
	require.NoError(f, app.Commit())
	db.ForceHeadMMap()
	require.NoError(f, db.Close())
	b, err := os.ReadFile(filepath.Join(dir, "chunks_head", "000001"))
	require.NoError(f, err)
	n := len(bytes.TrimRight(b, "\x00"))
	f.Add(b[:n])
	f.Add(b[:n-9])
	f.Add(b[:min(len(b), n+100)])
	f.Fuzz(func(t *testing.T, b []byte) {
		behind := int64(0)
		offset, err := readHeadChunks(bytes.NewReader(b), func(c *headChunk) error {
			require.GreaterOrEqual(t, c.offset, behind)
			behind = c.offset + int64(len(c.data))
			require.LessOrEqual(t, behind, int64(len(b)))
			require.True(t, bytes.Contains(b, c.data))
			return nil
		})
		require.LessOrEqual(t, offset, int64(len(b)))
		if err != nil {
			require.ErrorIs(t, err, model.ErrCorrupt)
		}
	})
}
