package catalog

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

func TestRacingWriters(t *testing.T) {
	const writers, generations = 16, 8
	for name, driver := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			var wg sync.WaitGroup
			yielding := faultblob.Wrap(driver)
			yielding.SetHook(func(faultblob.Call) faultblob.Action {
				runtime.Gosched() // on one processor too others come between the read and the write
				return faultblob.Action{}
			})
			stores := []*Store{New(bucketOf(yielding), nil, Components{}), New(bucketOf(yielding), nil, Components{})}
			for w := range writers {
				wg.Go(func() {
					s := stores[w%2]
					writer := fmt.Sprintf("w%d", w)
					if _, err := s.Register(t.Context(), Writer{ID: writer}); err != nil {
						t.Error(err)
					}
					for g := uint64(1); g <= generations; g++ {
						res, err := s.Commit(t.Context(), "t", testDay, add(writer, g))
						if err != nil || res.Outcome != Added {
							t.Errorf("%s/%d: %v, %v", writer, g, res.Outcome, err)
							return
						}
						if _, err := s.SetReleased(t.Context(), writer, g); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			p, err := stores[0].Partition(t.Context(), "t", testDay, nil)
			require.NoError(t, err)
			require.Len(t, p.Blocks, writers*generations)
			require.Equal(t, uint64(writers*generations), p.Generation, "each commit once")
			ids := map[string]bool{}
			for i, e := range p.Blocks {
				ids[e.ID] = true
				require.Equal(t, uint64(i+1), e.Order)
			}
			require.Len(t, ids, writers*generations)
			roster, err := stores[0].Roster(t.Context(), nil)
			require.NoError(t, err)
			require.Len(t, roster.Writers, writers)
			for _, w := range roster.Writers {
				require.Equal(t, uint64(generations), w.Released)
			}
			conflicts := stores[0].Conflicts() + stores[1].Conflicts()
			require.Positive(t, conflicts)
			t.Logf("%d conflicts, %d read backs", conflicts, stores[0].ReadBacks()+stores[1].ReadBacks())
		})
	}
}

// enumerate runs a scenario with the fault at its first call, then its second, until there is no further call.
func enumerate(t *testing.T, a faultblob.Action, scenario func(t *testing.T, d *faultblob.Driver)) {
	t.Helper()
	for n := 1; ; n++ {
		d := faultblob.Wrap(mem.New())
		hit := false
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			hit = hit || c.N == n
			return faultblob.Nth(n, a)(c)
		})
		t.Run(fmt.Sprintf("call %d", n), func(t *testing.T) { scenario(t, d) })
		if !hit {
			require.Greater(t, n, 5, "the scenario makes calls")
			return
		}
	}
}

// TestFaultAtEveryCall commits while one call fails or loses its answer, and while somebody else commits at the worst moments.
func TestFaultAtEveryCall(t *testing.T) {
	for _, kind := range []faultblob.Kind{faultblob.LoseAnswer, faultblob.Fail, faultblob.Tear} {
		for _, op := range []Add{add("w", 1), {Writer: "w", Generation: 1}} {
			t.Run(fmt.Sprintf("%v %v", kind, op), func(t *testing.T) {
				enumerate(t, faultblob.Action{Kind: kind}, func(t *testing.T, d *faultblob.Driver) {
					s, _ := newStore(d, 1)
					_, err := s.Commit(t.Context(), "t", testDay, add("other", 1))
					require.NoError(t, err)
					res, err := s.Commit(t.Context(), "t", testDay, op)
					require.NoError(t, err)
					require.Equal(t, Added, res.Outcome, "our own write is told from others'")
					d.SetHook(nil)
					checkOnce(t, s, op, 2)
				})
			})
		}
	}
}

func checkOnce(t *testing.T, s *Store, op Add, commits uint64) {
	t.Helper()
	p, err := s.Partition(context.Background(), "t", testDay, nil)
	require.NoError(t, err)
	require.Equal(t, commits, p.Generation, "nothing is committed twice")
	require.Equal(t, op.Generation, p.Flushed[op.Writer])
	if op.Meta != nil {
		require.NotNil(t, p.Live(op.Meta.ID))
	}
	v, err := s.View(context.Background(), "t", testDay.Range(), nil)
	require.NoError(t, err)
	require.True(t, v.Root.Has(testDay))
}

// TestCrashAtEveryCall crashes the committer before and after every call; another process then commits the same again.
func TestCrashAtEveryCall(t *testing.T) {
	for _, kind := range []faultblob.Kind{faultblob.CrashBefore, faultblob.CrashAfter} {
		for n := 1; ; n++ {
			inner := mem.New()
			d := faultblob.Wrap(inner)
			d.SetHook(faultblob.Nth(n, faultblob.Action{Kind: kind}))
			s, _ := newStore(d, 1)
			_, err := s.Commit(t.Context(), "t", testDay, add("w", 1))
			if err == nil {
				require.Greater(t, n, 4)
				break
			}
			require.ErrorIs(t, err, faultblob.ErrCrashed)
			again, _ := newStore(inner, 2)
			res, err := again.Commit(t.Context(), "t", testDay, add("w", 1))
			require.NoError(t, err)
			require.Contains(t, []Outcome{Added, Already}, res.Outcome)
			checkOnce(t, again, add("w", 1), 1)
		}
	}
}

// TestLostAnswerThenOthers loses the answer of a write, after which others commit before the read-back: as many as the trail holds, and more.
func TestLostAnswerThenOthers(t *testing.T) {
	for _, c := range []struct {
		others int
		op     Add
		want   Outcome
	}{
		{1, add("w", 1), Added},
		{TrailLength - 1, add("w", 1), Added},
		{TrailLength - 1, Add{Writer: "w", Generation: 1}, Added},
		{TrailLength, add("w", 1), Already},
		{TrailLength, Add{Writer: "w", Generation: 1}, Already},
	} {
		inner := mem.New()
		other, _ := newStore(inner, 9)
		_, err := other.Commit(t.Context(), "t", testDay, add("first", 1))
		require.NoError(t, err)
		d := faultblob.Wrap(inner)
		d.SetHook(func(call faultblob.Call) faultblob.Action {
			switch {
			case call.N == 2:
				return faultblob.Action{Kind: faultblob.LoseAnswer}
			case call.N == 3:
				for i := range c.others {
					_, err := other.Commit(t.Context(), "t", testDay, add(fmt.Sprintf("o%d", i), 1))
					require.NoError(t, err)
				}
			}
			return faultblob.Action{}
		})
		s, _ := newStore(d, 1)
		res, err := s.Commit(t.Context(), "t", testDay, c.op)
		require.NoError(t, err)
		require.Equal(t, c.want, res.Outcome, "%d others", c.others)
		require.Equal(t, int64(1), s.ReadBacks())
		checkOnce(t, other, c.op, uint64(c.others)+2)
	}
}

// TestSupersededByAdopter loses the race to somebody who flushes the same generation as another block.
func TestSupersededByAdopter(t *testing.T) {
	inner := mem.New()
	adopter, _ := newStore(inner, 9)
	d := faultblob.Wrap(inner)
	var raced bool
	d.SetHook(func(call faultblob.Call) faultblob.Action {
		if call.Op == faultblob.OpPut && strings.Contains(call.Key, "/c/") && !raced {
			raced = true
			_, err := adopter.Commit(t.Context(), "t", testDay, Add{Writer: "w", Generation: 1, Meta: meta("another", "w", 1)})
			require.NoError(t, err)
		}
		return faultblob.Action{}
	})
	s, _ := newStore(d, 1)
	res, err := s.Commit(t.Context(), "t", testDay, add("w", 1))
	require.NoError(t, err)
	require.Equal(t, Superseded, res.Outcome)
	require.Equal(t, int64(1), s.Conflicts())
	require.Len(t, res.Partition.Blocks, 1)
}

func TestOutageEnds(t *testing.T) {
	d := faultblob.Wrap(mem.New())
	d.SetHook(func(faultblob.Call) faultblob.Action { return faultblob.Action{Kind: faultblob.Fail} })
	s, _ := newStore(d, 1)
	_, err := s.Commit(t.Context(), "t", testDay, add("w", 1))
	require.ErrorIs(t, err, model.ErrUnavailable)
	require.LessOrEqual(t, d.Calls(), 5)
}

func TestCancelledInDoubt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	inner := mem.New()
	d := faultblob.Wrap(inner)
	d.SetHook(func(call faultblob.Call) faultblob.Action {
		if call.Op == faultblob.OpPut && strings.Contains(call.Key, "/c/") {
			cancel()
			return faultblob.Action{Kind: faultblob.LoseAnswer}
		}
		return faultblob.Action{}
	})
	s, _ := newStore(d, 1)
	_, err := s.Commit(ctx, "t", testDay, add("w", 1))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "outcome unknown")
	d.SetHook(nil)
	res, err := s.Commit(t.Context(), "t", testDay, add("w", 1))
	require.NoError(t, err)
	require.Contains(t, []Outcome{Added, Already}, res.Outcome)
}

func TestHardLimit(t *testing.T) {
	s, _ := newStore(mem.New(), 1)
	big := add("w", 1)
	rnd := newSeeded(3)
	noise := make([]byte, 5<<20)
	_, err := rnd.Read(noise)
	require.NoError(t, err)
	big.Meta.Replaces = []string{string(noise)}
	_, err = s.Commit(t.Context(), "t", testDay, big)
	require.ErrorIs(t, err, model.ErrLimit)
	_, err = s.Commit(t.Context(), "t", testDay, add("w", 1))
	require.NoError(t, err)
}

func TestConditionalReadReturnsPrev(t *testing.T) {
	s, _ := newStore(mem.New(), 1)
	none, err := s.Partition(t.Context(), "t", testDay, nil)
	require.NoError(t, err)
	require.True(t, none.Missing)
	same, err := s.Partition(t.Context(), "t", testDay, none)
	require.NoError(t, err)
	require.Same(t, none, same)
	res, err := s.Commit(t.Context(), "t", testDay, add("w", 1))
	require.NoError(t, err)
	same, err = s.Partition(t.Context(), "t", testDay, res.Partition)
	require.NoError(t, err)
	require.Same(t, res.Partition, same)
	_, err = s.Commit(t.Context(), "t", testDay, add("w", 2))
	require.NoError(t, err)
	newer, err := s.Partition(t.Context(), "t", testDay, res.Partition)
	require.NoError(t, err)
	require.Len(t, newer.Blocks, 2)
	require.Len(t, res.Partition.Blocks, 1, "a returned partition does not change")
}

func TestGravestone(t *testing.T) {
	s, _ := newStore(mem.New(), 1)
	_, err := update(t.Context(), s, rootObject("t"), func(r *Root) (bool, error) {
		r.GravestoneMs = 5
		return true, nil
	})
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), "t", testDay, add("w", 1))
	require.ErrorIs(t, err, ErrGravestone)
	require.True(t, errors.Is(err, model.ErrNotFound))
}

func TestWriterID(t *testing.T) {
	d := mem.New()
	s, _ := newStore(d, 1)
	require.NoError(t, s.PutWriterID(t.Context(), "w"))
	require.NoError(t, s.PutWriterID(t.Context(), "w"))
	require.ErrorIs(t, s.PutWriterID(t.Context(), "../w"), model.ErrInvalid)
	_, err := d.Put(t.Context(), "w/x/id", []byte("else"), blob.Condition{})
	require.NoError(t, err)
	require.ErrorIs(t, s.PutWriterID(t.Context(), "x"), model.ErrCorrupt)
}
