package wal

import (
	"context"
	"errors"
	"math"
	"math/rand"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

func TestLifeOfALog(t *testing.T) {
	fsys := memfs.New()
	l := open(t, fsys)
	require.EqualValues(t, 1, l.Generation())
	require.NoError(t, l.EndGeneration(), "nothing to end")
	require.NoError(t, l.Cut(context.Background()))
	require.Empty(t, l.Segments())

	require.NoError(t, put(l, "a", 1))
	require.NoError(t, put(l, "b", 2))
	_, err := l.ReadSegment(1, 0)
	require.ErrorIs(t, err, model.ErrConflict)
	require.NoError(t, l.Cut(context.Background()))
	require.NoError(t, l.Cut(context.Background()))
	require.NoError(t, put(l, "a", 3))
	require.NoError(t, l.EndGeneration())
	require.EqualValues(t, 2, l.Generation())
	require.NoError(t, l.EndGeneration())
	require.EqualValues(t, 2, l.Generation(), "a generation without segments stays")
	require.NoError(t, put(l, "a", 4))
	require.NoError(t, l.Cut(context.Background()))
	require.NoError(t, l.EndGeneration(), "a segment for the end mark alone")
	require.NoError(t, put(l, "a", 5))
	require.NoError(t, l.Append(func(*Encoder) {}))

	for range 2 {
		flags := [][3]any{}
		for _, s := range l.Segments() {
			flags = append(flags, [3]any{Position{s.Generation, s.Seq}, s.Closed, s.EndMark})
		}
		require.Equal(t, [][3]any{
			{Position{1, 0}, true, false},
			{Position{1, 1}, true, true},
			{Position{2, 0}, true, false},
			{Position{2, 1}, true, true},
			{Position{3, 0}, false, false},
		}, flags)
		require.Equal(t, []int{1, 2, 3, 4, 5}, replayed(t, l))
		require.EqualValues(t, 3, l.Generation())
		require.NoError(t, l.Close())
		require.Error(t, put(l, "a", 6))
		l = open(t, fsys)
	}
	require.ErrorIs(t, put(l, "a", 6), errReplayed)
	require.NoError(t, l.Cut(context.Background()))
	require.NoError(t, l.EndGeneration())
	require.NoError(t, put(l, "a", 6))
	require.Equal(t, []int{1, 2, 3, 4, 5, 6}, replayed(t, l))

	data, err := l.ReadSegment(3, 1)
	require.NoError(t, err)
	s, err := ParseSegment(data, nil)
	require.NoError(t, err)
	require.True(t, s.EndMark)
	require.Equal(t, l.Segments()[4].Bytes, s.PrevValid)

	require.ErrorIs(t, l.Release(4), model.ErrInvalid)
	require.NoError(t, l.Release(2))
	require.Equal(t, []int{5, 6}, replayed(t, l))
	_, err = l.ReadSegment(1, 0)
	require.ErrorIs(t, err, model.ErrNotFound)
	l = open(t, fsys.Crash(nil))
	require.Equal(t, []int{5, 6}, replayed(t, l))
}

// TestReleaseKeepsTheNumber: a log that was released to the last segment does not start over at generation 1.
func TestReleaseKeepsTheNumber(t *testing.T) {
	fsys := memfs.New()
	l := open(t, fsys)
	require.NoError(t, put(l, "a", 1))
	require.NoError(t, l.EndGeneration())
	require.NoError(t, l.Release(1))
	require.NoError(t, l.Release(1))
	require.Empty(t, l.Segments())
	l = open(t, fsys.Crash(nil))
	require.EqualValues(t, 2, l.Generation())
	require.NoError(t, put(l, "a", 2))
	require.EqualValues(t, 2, l.Segments()[0].Generation)

	l, err := Open(memfs.New(), testDir, testWriter, &Options{FirstGeneration: 7})
	require.NoError(t, err)
	require.EqualValues(t, 7, l.Generation())
}

func TestSegmentsRollOver(t *testing.T) {
	l, err := Open(memfs.New(), testDir, testWriter, &Options{SegmentBytes: 1000})
	require.NoError(t, err)
	var want []int
	for i := range 100 {
		require.NoError(t, put(l, "a", i))
		want = append(want, i)
	}
	require.Equal(t, want, replayed(t, l))
	for _, s := range l.Segments() {
		require.LessOrEqual(t, s.Bytes, int64(1100))
	}
	require.Greater(t, len(l.Segments()), 5)

	// Replay from a later segment still tells what the refs mean.
	defs, samples := 0, 0
	require.NoError(t, l.Replay(context.Background(), 1, 2, func(r Record) error {
		defs += len(r.Defs)
		samples += len(r.Samples)
		if r.Seq < 2 {
			require.Empty(t, r.Samples)
			require.Empty(t, r.Histograms)
		}
		return nil
	}))
	require.Equal(t, 100, defs)
	require.Greater(t, 100, samples)
	require.Greater(t, samples, 0)

	stop := errors.New("stop")
	require.Equal(t, stop, l.Replay(context.Background(), 1, 0, func(Record) error { return stop }))
}

func TestRecordsRoundTrip(t *testing.T) {
	const seed = 3
	rng := rand.New(rand.NewSource(seed))
	var want []RefSample
	odd := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, math.NaN(), math.Float64frombits(value.StaleNaN), math.Inf(1), math.MaxFloat64, math.SmallestNonzeroFloat64}
	ref, ts := uint32(0), int64(0)
	for range 50_000 {
		switch rng.Intn(4) {
		case 0:
			ref = rng.Uint32()
		case 1:
			ts = int64(rng.Uint64())
		case 2:
			ref++
		}
		v := math.Float64frombits(rng.Uint64() << rng.Intn(64))
		if rng.Intn(3) == 0 {
			v = odd[rng.Intn(len(odd))]
		}
		want = append(want, RefSample{ref, ts, v})
	}
	want = append(want, RefSample{math.MaxUint32, math.MinInt64, 1}, RefSample{0, math.MaxInt64, 1}, RefSample{0, math.MinInt64, 1})
	l := open(t, memfs.New())
	require.NoError(t, l.Append(func(e *Encoder) {
		require.EqualValues(t, 1, e.Generation())
		e.Begin("empty record")
		e.Begin("t")
		e.Define(math.MaxUint32, labels.EmptyLabels())
		for _, s := range want {
			e.Sample(s.Ref, s.T, s.V)
		}
		e.Begin("u")
		e.Histogram(9, 9, nil)
		e.Sample(9, 9, 9)
		e.Histogram(3, 7, []byte{1})
	}))
	var got []RefSample
	require.NoError(t, l.Replay(context.Background(), 1, 0, func(r Record) error {
		require.LessOrEqual(t, len(r.Samples), maxSamples+1)
		if r.Tenant == "t" {
			got = append(got, r.Samples...)
			return nil
		}
		require.Equal(t, "u", r.Tenant)
		require.Equal(t, []RefSample{{9, 9, 9}}, r.Samples)
		require.Len(t, r.Histograms, 2)
		require.Equal(t, RefHistogram{3, 7, []byte{1}}, r.Histograms[1])
		return nil
	}))
	require.Equal(t, sampleBits(want), sampleBits(got), "seed %d", seed)
}

// TestBadEncoding: an Append that encodes nonsense leaves no trace and breaks nothing.
func TestBadEncoding(t *testing.T) {
	l := open(t, memfs.New())
	require.ErrorIs(t, l.Append(func(e *Encoder) { e.Sample(1, 1, 1) }), model.ErrInvalid)
	require.ErrorIs(t, l.Append(func(e *Encoder) { e.Begin("") }), model.ErrInvalid)
	require.ErrorIs(t, l.Append(func(e *Encoder) {
		e.Begin("good")
		e.Sample(1, 1, 1)
		e.Begin(string(make([]byte, 256)))
		e.Sample(1, 1, 1)
	}), model.ErrInvalid)
	require.ErrorIs(t, l.Append(func(e *Encoder) {
		e.Begin("t")
		e.Histogram(1, 1, make([]byte, maxRecord+1))
	}), model.ErrLimit)
	require.Panics(t, func() {
		_ = l.Append(func(e *Encoder) {
			e.Begin("t")
			e.Sample(1, 1, 1)
			panic("bug")
		})
	})
	require.NoError(t, l.Err())
	require.NoError(t, put(l, "a", 1))
	require.Equal(t, []int{1}, replayed(t, l))
}

func TestTenantsAreApart(t *testing.T) {
	fsys := memfs.New()
	l := open(t, fsys)
	for i := range 10 {
		require.NoError(t, put(l, []string{"a", "b", "long-name"}[i%3], i))
	}
	indexless, err := ParseSegment(mustRead(t, fsys, localPath(1, 0)), nil)
	require.NoError(t, err)
	require.False(t, indexless.Closed)
	require.NoError(t, l.EndGeneration())
	data, err := l.ReadSegment(1, 0)
	require.NoError(t, err)
	closed, err := ParseSegment(data, nil)
	require.NoError(t, err)
	require.True(t, closed.Closed && closed.EndMark && !closed.Fence)
	require.Equal(t, testWriter, closed.Writer)
	for _, s := range []*Segment{indexless, closed} {
		for tenant, want := range map[string][]int{"a": {0, 3, 6, 9}, "b": {1, 4, 7}, "long-name": {2, 5, 8}, "none": nil} {
			var got []int
			require.NoError(t, s.Records(tenant, func(r Record) error {
				require.Equal(t, tenant, r.Tenant)
				got = append(got, batchOf(t, r))
				return nil
			}))
			require.Equal(t, want, got)
		}
	}
}

func TestFence(t *testing.T) {
	b := FenceSegment("dead", 3, 4, "heir")
	s, err := ParseSegment(b, nil)
	require.NoError(t, err)
	require.True(t, s.Fence)
	require.Equal(t, "heir", s.Adopter)
	require.Equal(t, "dead", s.Writer)
	require.EqualValues(t, 3, s.Generation)
	require.EqualValues(t, 4, s.Seq)
	require.NoError(t, s.Records("", func(Record) error { return errors.New("a record in a fence") }))
	require.Equal(t, "w/dead/0000000003/00000004.wal", SegmentKey("dead", 3, 4))
	w, g, q, ok := ParseSegmentKey(SegmentKey("dead", 3, 4))
	require.True(t, ok && w == "dead" && g == 3 && q == 4)
	for _, key := range []string{"", "w/dead/id", "w/dead/3/4.wal", "w/dead/0000000003/00000004.tmp", "x/dead/0000000003/00000004.wal"} {
		_, _, _, ok := ParseSegmentKey(key)
		require.False(t, ok, key)
	}
}

// TestGroupCommit lets many append at once: all is kept, in the order of the log, with fewer fsyncs than Appends.
func TestGroupCommit(t *testing.T) {
	const writers, each = 16, 50
	var syncs atomic.Int64
	fsys := memfs.New()
	var l *Log
	gathered := make(chan struct{})
	fsys.SetHook(func(c memfs.Call) error {
		if c.Op == memfs.OpSync && syncs.Add(1) == 2 {
			<-gathered // the first group is being synced while all others encode into the next
		}
		return nil
	})
	l, err := Open(fsys, testDir, testWriter, &Options{SegmentBytes: 4000, PendingBytes: 1500})
	require.NoError(t, err)
	var wg sync.WaitGroup
	var order []int
	var encoded atomic.Int64
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				n := w*each + i
				err := l.Append(func(e *Encoder) {
					order = append(order, n) // guarded by the log's buffer mutex
					if encoded.Add(1) == 5 {
						close(gathered)
					}
					e.Begin("t")
					e.Define(uint32(n), labels.FromStrings("batch", itoa(n)))
					e.Sample(uint32(n), int64(n), float64(n)/3)
					e.Histogram(uint32(n), int64(n), []byte("histogram "+itoa(n)))
				})
				if err != nil {
					t.Error(err)
				}
				if w == 0 && i%10 == 9 {
					if err := l.EndGeneration(); err != nil {
						t.Error(err)
					}
				}
				if w == 1 && i%10 == 9 {
					if err := l.Cut(context.Background()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, order, replayed(t, l))
	require.Equal(t, order, replayed(t, open(t, fsys.Crash(nil))))
	t.Logf("%d appends, %d fsyncs", writers*each, syncs.Load())
}

func TestOpenRefusesBadWriter(t *testing.T) {
	_, err := Open(memfs.New(), testDir, "", nil)
	require.ErrorIs(t, err, model.ErrInvalid)
}

func TestOnRealFiles(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		l, err := Open(vfs.OS{}, dir, testWriter, nil)
		require.NoError(t, err)
		require.NoError(t, l.EndGeneration())
		require.NoError(t, put(l, "a", i))
		require.Len(t, replayed(t, l), i+1)
		require.NoError(t, l.Close())
	}
	l, err := Open(vfs.OS{}, dir, testWriter, nil)
	require.NoError(t, err)
	require.NoError(t, l.EndGeneration())
	require.NoError(t, l.Release(2))
	require.Equal(t, []int{2}, replayed(t, l))
	require.NoError(t, l.Close())
}
