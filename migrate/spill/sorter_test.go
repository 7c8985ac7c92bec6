package spill

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

func newRand(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func text(v float64, h []byte) string { return fmt.Sprintf("%x %x", math.Float64bits(v), h) }

// read is what a sorter has of a day, each series once and in order.
func read(t *testing.T, s *Sorter, day model.Day) map[string]string {
	out := map[string]string{}
	var before labels.Labels
	for series, err := range s.Series(context.Background(), day) {
		require.NoError(t, err)
		ls := series.Labels()
		require.True(t, before.IsEmpty() || index.Less(before, ls), "%s behind %s", ls, before)
		before = ls
		c := &model.Columns{}
		require.NoError(t, series.Samples(c, day.Range()))
		require.NoError(t, c.Check(1<<20), "ascending, and at least one")
		for i, at := range c.T {
			h := []byte(nil)
			if c.H != nil {
				h = c.H[i]
			}
			out[fmt.Sprintf("%s %d", ls, at)] = text(c.V[i], h)
		}
	}
	return out
}

// TestSorter compares with a map: many runs, many days, several keys of one series, samples of one time.
func TestSorter(t *testing.T) {
	for _, wins := range []Winner{FirstWins, LastWins} {
		rng := newRand(t)
		dir := t.TempDir()
		s := New(dir, 1, wins)
		s.siblings = 2 + rng.IntN(3)
		want := map[model.Day]map[string]string{}
		counts := map[model.Day]int64{}
		for range 20_000 {
			n := rng.IntN(60)
			b := labels.NewBuilder(labels.EmptyLabels())
			if n%7 > 0 {
				b.Set("__name__", fmt.Sprintf("m%d", n%7))
			}
			b.Set("A", fmt.Sprint(n/2%3)).Set("z", fmt.Sprint(n))
			ls := b.Labels()
			at := (rng.Int64N(9)-4)*model.MsPerDay + rng.Int64N(200)*1000
			v, h := rng.Float64(), []byte(nil)
			if n%5 == 0 && rng.IntN(2) == 0 {
				v, h = 0, []byte(fmt.Sprint("h", rng.Uint64()))
			}
			key := fmt.Sprintf("%d %d", n, rng.IntN(3))
			require.NoError(t, s.Add([]byte(key), func() (labels.Labels, error) { return ls, nil }, at, v, h))
			day := model.DayOf(at)
			if want[day] == nil {
				want[day] = map[string]string{}
			}
			counts[day]++
			id := fmt.Sprintf("%s %d", ls, at)
			if _, ok := want[day][id]; !ok || wins == LastWins {
				want[day][id] = text(v, h)
			}
		}
		require.NoError(t, s.Finish())
		require.Greater(t, s.Runs(), 3)
		require.Less(t, len(s.runs), s.Runs(), "some were merged")
		require.Equal(t, counts, s.Counts())
		for day := range want {
			require.Equal(t, want[day], read(t, s, day), "%s", day.Dashed())
		}
		require.Empty(t, read(t, s, 99))
		require.NoError(t, s.Close())
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// TestManyRuns are merged, so that few files are open, of which the order decides which sample is kept.
func TestManyRuns(t *testing.T) {
	for _, wins := range []Winner{FirstWins, LastWins} {
		s := New(t.TempDir(), 1, wins)
		s.siblings = 3
		for n := range 40 { // each of them in its place
			require.NoError(t, s.Add([]byte("k"), func() (labels.Labels, error) { return labels.FromStrings("a", "b"), nil }, 7, float64(n), nil))
			require.NoError(t, s.Add([]byte("k"), nil, int64(100+n), 1, nil))
			require.NoError(t, s.spill())
			require.LessOrEqual(t, len(s.runs), 2*4, "two of each level")
			files, err := filepath.Glob(filepath.Join(s.files.dir.Path(), "run-*"))
			require.NoError(t, err)
			require.Len(t, files, len(s.runs))
		}
		require.NoError(t, s.Finish())
		require.Equal(t, 40, s.Runs())
		got := read(t, s, 0)
		require.Len(t, got, 41)
		last := map[Winner]float64{FirstWins: 0, LastWins: 39}[wins]
		require.Equal(t, text(last, nil), got[`{a="b"} 7`])
		require.NoError(t, s.Close())
	}
}

// TestStop ends merging; damage is found by it.
func TestStop(t *testing.T) {
	for _, c := range []struct {
		name string
		stop error
	}{{"stopped", context.Canceled}, {"damage", nil}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := New(dir, 1, LastWins)
			s.siblings = 2
			s.Stop = func() error {
				if len(s.runs) < 2 {
					return nil
				}
				return c.stop // while they are merged
			}
			add := func() {
				require.NoError(t, s.Add([]byte("k"), func() (labels.Labels, error) { return labels.FromStrings("a", "b"), nil }, 7, 1, nil))
			}
			add()
			require.NoError(t, s.spill())
			if c.stop == nil {
				require.NoError(t, os.Truncate(s.runs[0].f.Name(), 9))
			}
			add()
			err := s.spill()
			require.ErrorContains(t, err, "merge 2 runs")
			if c.stop != nil {
				require.ErrorIs(t, err, c.stop)
			}
			require.NoError(t, s.Close())
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// TestStopAtEachQuestion ends the sorter wherever it asks; another try of what was stopped succeeds, and all is there.
func TestStopAtEachQuestion(t *testing.T) {
	rng := newRand(t)
	const series = 3000
	ls := func(i int) labels.Labels { return labels.FromStrings("__name__", fmt.Sprint("m", i)) }
	for at := 1; ; at += 1 + rng.IntN(500) {
		s := New(t.TempDir(), 1<<30, LastWins)
		asked := 0
		s.Stop = func() error {
			if asked++; asked == at {
				return context.Canceled
			}
			return nil
		}
		for _, i := range rng.Perm(series) {
			for _, ms := range []int64{2, 1} { // so they are to be sorted
				require.NoError(t, s.Add([]byte(fmt.Sprint(i)), func() (labels.Labels, error) { return ls(i), nil }, ms, 1, nil))
			}
		}
		err := s.Finish()
		ended := asked < at
		if ended {
			require.Greater(t, at, 2*series, "it is asked for each series that is sorted, and each that is written")
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, at, asked, "it is asked no more")
			require.NoError(t, s.Finish())
		}
		require.Len(t, read(t, s, 0), 2*series)
		require.NoError(t, s.Close())
		if ended {
			break
		}
	}
}

// TestColumns puts series together whose labels become the same.
func TestColumns(t *testing.T) {
	s := New(t.TempDir(), 1<<20, LastWins)
	defer func() { require.NoError(t, s.Close()) }()
	ls := labels.FromStrings("__name__", "up")
	require.NoError(t, s.AddColumns(ls, &model.Columns{T: []int64{1, 3}, V: []float64{1, 3}}))
	clear(s.open)
	clear(s.same) // as if another series had the same hash
	require.NoError(t, s.AddColumns(ls, &model.Columns{T: []int64{2, 3}, V: []float64{2, 0}, H: [][]byte{nil, []byte("h")}}))
	require.NoError(t, s.Finish())
	require.Equal(t, map[string]string{
		`{__name__="up"} 1`: text(1, nil), `{__name__="up"} 2`: text(2, nil), `{__name__="up"} 3`: text(0, []byte("h")),
	}, read(t, s, 0))
}

func TestTooManyDays(t *testing.T) {
	s := New(t.TempDir(), 1<<20, LastWins)
	defer func() { require.NoError(t, s.Close()) }()
	for day := range int64(maxDays + 1) {
		require.NoError(t, s.Add([]byte("k"), func() (labels.Labels, error) { return labels.FromStrings("a", "b"), nil }, day*model.MsPerDay, 1, nil))
	}
	require.ErrorIs(t, s.Finish(), model.ErrInvalid)
}

// TestDamagedRun: no byte of a run may change, and none may be missing, without an error.
func TestDamagedRun(t *testing.T) {
	rng := newRand(t)
	s := New(t.TempDir(), 1<<20, LastWins)
	defer func() { require.NoError(t, s.Close()) }()
	for n := range 300 {
		ls := labels.FromStrings("__name__", fmt.Sprint("m", n))
		for k := range int64(20) {
			require.NoError(t, s.Add([]byte(ls.String()), func() (labels.Labels, error) { return ls, nil }, k*1000, rng.Float64(), nil))
		}
	}
	require.NoError(t, s.Finish())
	path := s.runs[0].f.Name()
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	want := read(t, s, 0)
	check := func(b []byte, what string) {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		for series, err := range s.Series(context.Background(), 0) {
			if err != nil {
				require.ErrorIs(t, err, model.ErrCorrupt, what)
				require.ErrorContains(t, err, path)
				return
			}
			_ = series.Samples(&model.Columns{}, model.Day(0).Range())
		}
		require.Equal(t, want, read(t, s, 0), what)
		require.Len(t, b, len(good), what)
	}
	for range 200 {
		b := append([]byte(nil), good...)
		at := rng.IntN(len(b))
		b[at] ^= 1 << rng.IntN(8)
		check(b, fmt.Sprintf("bit flipped in byte %d of %d", at, len(b)))
	}
	for range 100 {
		at := rng.IntN(len(good))
		check(good[:at], fmt.Sprintf("cut at byte %d of %d", at, len(good)))
	}
	check(good, "whole")
}

// TestDirs: directories of the dead are swept, those of the living stay.
func TestDirs(t *testing.T) {
	parent := t.TempDir()
	dead := filepath.Join(parent, dirPrefix+"dead")
	require.NoError(t, os.MkdirAll(filepath.Join(dead, "x"), 0o700))
	outside := t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(parent, dirPrefix+"link")))
	require.NoError(t, os.WriteFile(filepath.Join(parent, dirPrefix+"file"), nil, 0o600))
	a, err := MakeDir(parent)
	require.NoError(t, err)
	require.NoDirExists(t, dead)
	require.NoError(t, a.lock.Close()) // as if it had been killed
	b, err := MakeDir(parent)
	require.NoError(t, err)
	require.NoDirExists(t, a.Path())
	c, err := MakeDir(parent)
	require.NoError(t, err)
	require.DirExists(t, b.Path())
	require.NoError(t, b.Close())
	require.NoError(t, c.Close())
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, left, 2, "what is no directory of ours")
	made, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, made)
	_, err = MakeDir(filepath.Join(parent, "none"))
	require.Error(t, err)
}

// TestDirsAtOnce: whoever sweeps takes no directory from those who make one.
func TestDirsAtOnce(t *testing.T) {
	parent := t.TempDir()
	made := make(chan *Dir)
	for range 8 {
		go func() {
			for range 25 {
				d, err := MakeDir(parent)
				if err != nil {
					t.Error(err)
				}
				made <- d
			}
		}()
	}
	for range 8 * 25 {
		if d := <-made; d != nil {
			require.DirExists(t, d.Path())
			require.FileExists(t, filepath.Join(d.Path(), lockName))
			require.NoError(t, d.Close())
		}
	}
}

func FuzzRecords(f *testing.F) {
	ls := labels.FromStrings("__name__", "up", "a", "b")
	f.Add(appendRecord(nil, ls, &model.Columns{T: []int64{-5, 7}, V: []float64{1, 2}}, 0, 2))
	f.Add(appendRecord(nil, ls, &model.Columns{T: []int64{1, 2}, V: []float64{0, 2}, H: [][]byte{[]byte("h"), nil}}, 0, 2))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		in := &recordReader{r: bufio.NewReaderSize(bytes.NewReader(b), 64), b: labels.NewScratchBuilder(4)}
		for range len(b) + 1 {
			s, err := in.next()
			if err != nil {
				break
			}
			// What is read is written the same way, and read again.
			again := &recordReader{r: bufio.NewReader(bytes.NewReader(appendRecord(nil, s.labels, s.columns, 0, s.columns.Len()))), b: labels.NewScratchBuilder(4)}
			s2, err := again.next()
			require.NoError(t, err)
			require.Equal(t, s.labels, s2.labels)
			require.True(t, slices.Equal(s.columns.T, s2.columns.T))
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20+uint64(len(b))*20_000 {
			t.Fatalf("%d bytes allocated for %d", used, len(b))
		}
	})
}
