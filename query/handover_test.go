package query

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// schedule runs steps of a writer between the steps of a reader: each at its own event.
type schedule struct {
	mu    sync.Mutex
	n     int
	steps map[int][]func()
}

func (s *schedule) event() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	for _, step := range s.steps[s.n] {
		step()
	}
}

func (s *schedule) at(n int, step func()) { s.steps[n] = append(s.steps[n], step) }

// TestHandover moves samples from a source into the catalog while a query reads, with each step of the move before each
// step of the reading: no sample is ever missing, and none shows twice.
func TestHandover(t *testing.T) {
	const day = model.Day(20000)
	at := day.Range().MinMs
	old, recent := data{}.add("a", at, 1).add("b", at, 2), data{}.add("a", at+1000, 3).add("c", at+1000, 4)
	want := data{"a": {at: 1, at + 1000: 3}, "b": {at: 2}, "c": {at + 1000: 4}}

	for _, dayKnown := range []bool{false, true} {
		events := 18 // more than a reading has; the last ones never come
		most := 0
		for commit := 1; commit <= events; commit++ {
			for drop := commit; drop <= events; drop++ {
				w := newWorld(t)
				w.register(catalog.Writer{ID: "w1", Mode: "fsync", Address: "w1:1"})
				if dayKnown {
					// Some other block of the day, so that the catalog is there already.
					w.register(catalog.Writer{ID: "w0", Mode: "fsync"})
					w.setState("w0", catalog.Clean)
					w.flush("w0", 1, day, data{}.add("z", at, 9))
				}
				s := &schedule{steps: map[int][]func(){}}
				src := &fakeSource{writer: "w1", generations: map[uint64]data{1: old, 2: recent}, before: s.event, after: s.event}
				w.sources = []model.Source{src}
				w.driver.SetHook(func(faultblob.Call) faultblob.Action { s.event(); return faultblob.Action{} })
				m1, m2 := w.build("w1", 1, day, old), w.build("w1", 2, day, recent)
				// Generation 2 follows generation 1 at the same distance.
				s.at(commit, func() { w.commit(m1) })
				s.at(drop, func() { src.drop(1) })
				s.at(drop, func() { w.commit(m2) })
				s.at(2*drop-commit, func() { src.drop(2) })

				name := fmt.Sprintf("day known %v, commit at %d, drop at %d", dayKnown, commit, drop)
				got := selectAll(w.ctx(), t, w.queryable(), at, at+60_000, everything)
				require.NoError(t, got.err, name)
				delete(got.data, "z")
				require.Equal(t, want, got.data, name)
				require.Empty(t, got.warnings, name)
				src.unpinned(t)
				most = max(most, s.n)
			}
		}
		require.Less(t, most, events, "the steps of a reading, all of which must be met")
		require.Greater(t, most, 6)
	}
}

// TestWriterLeaves has a writer flush everything and sign off while a query reads. Its source
// is gone then, and that must be no error.
func TestWriterLeaves(t *testing.T) {
	const day = model.Day(20000)
	at := day.Range().MinMs
	d := data{}.add("a", at, 1)
	for n := 1; n <= 12; n++ {
		w := newWorld(t)
		w.register(catalog.Writer{ID: "w1", Mode: "fsync", Address: "w1:1"})
		s := &schedule{steps: map[int][]func(){}}
		src := &fakeSource{writer: "w1", generations: map[uint64]data{1: d}, before: s.event}
		w.sources = []model.Source{src}
		w.driver.SetHook(func(faultblob.Call) faultblob.Action { s.event(); return faultblob.Action{} })
		m := w.build("w1", 1, day, d)
		s.at(n, func() {
			w.commit(m)
			src.drop(1)
			w.setState("w1", catalog.Clean)
			src.err = model.ErrUnavailable
		})
		got := selectAll(w.ctx(), t, w.queryable(), at, at+1000, everything)
		require.NoError(t, got.err, "leaves at %d", n)
		require.Equal(t, d, got.data, "leaves at %d", n)
	}
}
