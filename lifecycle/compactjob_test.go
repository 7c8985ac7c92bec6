package lifecycle

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// closedDay is a world with n flushes of a day that was closed long ago.
func closedDay(t *testing.T, n int) *world {
	w := newWorld(t)
	w.flushes(n)
	w.daysLater(2)
	return w
}

// later lets hours pass.
func (w *world) later(hours int64) { w.nowMs += hours * 3_600_000 }

// daily are settings under which a day is several blocks of several parts each.
func daily() *Config {
	return &Config{Merge: MergeSettings{MaxBlocks: 1000}, Compact: CompactSettings{MinOutputBytes: 1}, Sequential: true}
}

// formats counts the live blocks of either format.
func (w *world) formats() (hot, cold int) {
	for _, e := range w.partition().Blocks {
		if e.Format == blocks.Parquet {
			cold++
		} else {
			hot++
		}
	}
	return hot, cold
}

func TestCompact(t *testing.T) {
	for _, sequential := range []bool{true, false} {
		w := closedDay(t, 3+newWorld(t).rng.IntN(20))
		want := w.read()
		cfg := daily()
		cfg.Sequential = sequential
		l, d := w.worker(cfg)
		parts := 0
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			if c.Op == faultblob.OpPart {
				parts++
			}
			return faultblob.Action{}
		})
		r := w.once(l)
		require.Equal(t, 1, r.Jobs)
		require.Equal(t, 1, r.Compactions)
		require.Positive(t, r.Samples)
		require.Greater(t, parts, 3, "blocks are uploaded while they are made")
		require.Equal(t, want, w.read())
		hot, cold := w.formats()
		require.Zero(t, hot)
		require.Equal(t, 3, cold, "a block ends with its metric")
		names := map[string]bool{} // of the first series
		for _, e := range w.partition().Blocks {
			names[e.Directory[0].FirstMetric] = true
			data, _, err := w.own.Get(context.Background(), blocks.Key(e.Meta))
			require.NoError(t, err)
			require.NoError(t, blocks.Verify(data))
		}
		require.Len(t, names, 3)
		require.Zero(t, w.once(l).Jobs)
		w.late(l, d)
	}
}

// late lets samples come for the day that the worker has compacted.
func (w *world) late(l *Lifecycle, d *faultblob.Driver) {
	t := w.t
	d.SetHook(nil)
	l.cfg.Compact.LatePercent = 1 << 40 // these days are small
	w.flushes(7)
	w.later(12)
	require.Zero(t, w.once(l).Jobs, "too little")
	w.flush()
	want := w.read()
	require.Zero(t, w.once(l).Jobs, "there may be more to come")
	w.later(1)
	require.Equal(t, 1, w.once(l).Compactions)
	require.Equal(t, want, w.read())
	hot, _ := w.formats()
	require.Zero(t, hot)
	w.flush()
	want = w.read()
	w.later(23)
	require.Zero(t, w.once(l).Jobs)
	w.later(1)
	require.Equal(t, 1, w.once(l).Compactions, "it has waited for a day")
	require.Equal(t, want, w.read())
}

// TestCompactFaultsAtEveryCall lets each call of a worker fail, or succeed without an answer, or be the last: nothing is lost or doubled, no reader
// sees half a day, and another worker does the rest.
func TestCompactFaultsAtEveryCall(t *testing.T) {
	for _, a := range []faultblob.Action{{Kind: faultblob.Fail}, {Kind: faultblob.LoseAnswer}, {Kind: faultblob.CrashBefore}, {Kind: faultblob.CrashAfter}} {
		for n := 1; ; n++ {
			w := closedDay(t, 4)
			want := w.read()
			l, d := w.worker(daily())
			d.SetHook(faultblob.Nth(n, a))
			_, err := l.Once(context.Background())
			require.True(t, err == nil || errors.Is(err, faultblob.ErrInjected) || errors.Is(err, faultblob.ErrCrashed) || errors.Is(err, model.ErrUnavailable), "%v", err)
			require.Equal(t, want, w.read(), "call %d", n)
			require.Empty(t, w.partition().Quarantined, "call %d: a bucket in trouble is not the fault of a block", n)
			other, _ := w.worker(daily())
			w.nowMs += 11 * 60_000
			w.once(other)
			require.Equal(t, want, w.read(), "call %d, then another worker", n)
			hot, cold := w.formats()
			require.Zero(t, hot)
			require.Equal(t, 3, cold)
			if d.Calls() < n {
				require.Greater(t, n, 20, "a compaction makes calls")
				break
			}
		}
	}
}

// TestRacingCompactions lets a second worker run at each call of the first.
func TestRacingCompactions(t *testing.T) {
	for _, wait := range []int64{0, 11 * 60_000} {
		for n := 1; ; n++ {
			w := closedDay(t, 4)
			want := w.read()
			first, d := w.worker(daily())
			second, _ := w.worker(daily())
			d.SetHook(func(c faultblob.Call) faultblob.Action {
				if c.N == n {
					w.nowMs += wait
					w.once(second)
				}
				return faultblob.Action{}
			})
			w.once(first)
			require.Equal(t, want, w.read(), "call %d", n)
			p := w.partition()
			hot, cold := w.formats()
			require.Zero(t, hot)
			require.Equal(t, 3, cold)
			objects := 0
			for _, err := range w.own.List(context.Background(), "d/") {
				require.NoError(t, err)
				objects++
			}
			require.Equal(t, len(p.Blocks)+len(p.Retired), objects, "racing workers make the same objects: no orphans")
			if d.Calls() < n {
				break
			}
		}
	}
}

func TestCompactLeavesBadInputs(t *testing.T) {
	w := newWorld(t)
	all := w.flushes(6)
	w.corrupt(all[2])
	w.daysLater(2)
	l, _ := w.worker(daily())
	r := w.once(l)
	require.Len(t, r.Quarantined, 1)
	require.Contains(t, r.Quarantined[0], all[2].ID)
	require.Equal(t, 2, r.Compactions, "those on either side of it")
	hot, _ := w.formats()
	require.Equal(t, 1, hot)
	require.Zero(t, w.once(l).Jobs)

	// A damaged parquet block is put aside as well, and what came late for it stays hot.
	w = closedDay(t, 3)
	l, _ = w.worker(&Config{Sequential: true})
	require.Equal(t, 1, w.once(l).Compactions)
	cold := w.partition().Blocks[0].Meta
	data, _, err := w.own.Get(context.Background(), blocks.Key(cold))
	require.NoError(t, err)
	data[cold.SeriesPages.Offset+30] ^= 1
	_, err = w.own.Put(context.Background(), blocks.Key(cold), data)
	require.NoError(t, err)
	w.flushes(8)
	w.later(1)
	r = w.once(l)
	require.Len(t, r.Quarantined, 1)
	hot, days := w.formats()
	require.Equal(t, []int{0, 2}, []int{hot, days}, "late data is compacted beside it")
}

// TestCompactTakenName: an object lies where the output should go. One of the same bytes is used, any other passed over.
func TestCompactTakenName(t *testing.T) {
	for name, c := range map[string]struct {
		change  func([]byte) []byte
		attempt uint32
	}{
		"same":   {func(b []byte) []byte { return b }, 0},
		"other":  {func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, 1},
		"short":  {func(b []byte) []byte { return b[:len(b)-1] }, 1},
		"longer": {func(b []byte) []byte { return append(b, 0) }, 1},
	} {
		w := closedDay(t, 4)
		want := w.read()
		cfg := daily()
		cfg.Compact.MinOutputBytes = 1 << 30
		dry, d := w.worker(cfg)
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			if c.Op == faultblob.OpPut && strings.HasPrefix(c.Key, "d/") {
				return faultblob.Action{Kind: faultblob.CrashAfter}
			}
			return faultblob.Action{}
		})
		_, _ = dry.Once(context.Background())
		found := 0
		for o, err := range w.own.List(context.Background(), "d/") {
			require.NoError(t, err)
			if !strings.HasSuffix(o.Key, ".parquet") {
				continue
			}
			found++
			data, _, err := w.own.Get(context.Background(), o.Key)
			require.NoError(t, err)
			_, err = w.own.Put(context.Background(), o.Key, c.change(data))
			require.NoError(t, err)
		}
		require.Equal(t, 1, found, name)
		w.nowMs += 11 * 60_000
		l, _ := w.worker(cfg)
		require.Equal(t, 1, w.once(l).Compactions, name)
		require.Equal(t, want, w.read(), name)
		require.Equal(t, c.attempt, w.partition().Blocks[0].Attempt, name)
	}
}
