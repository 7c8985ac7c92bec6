package blobtest

import (
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

func (s *suite) conditionalGet() {
	key := s.dir + "catalog"
	v1 := s.put(key, "one")
	_, v, modified, err := s.b.GetIf(s.ctx, key, v1)
	s.must(err)
	if modified || v != v1 {
		s.Fatalf("unchanged object: modified %v, version %q, want %q", modified, v, v1)
	}
	v2 := s.put(key, "two")
	data, v, modified, err := s.b.GetIf(s.ctx, key, v1)
	s.must(err)
	if !modified || v != v2 || string(data) != "two" {
		s.Fatalf("changed object: modified %v, version %q, content %q", modified, v, data)
	}
	data, v, modified, err = s.b.GetIf(s.ctx, key, "")
	s.must(err)
	if !modified || v != v2 || string(data) != "two" {
		s.Fatalf("no condition: modified %v, version %q, content %q", modified, v, data)
	}
	s.must(s.b.Delete(s.ctx, key))
	_, _, _, err = s.b.GetIf(s.ctx, key, v2)
	s.wantKind(err, model.ErrNotFound, "conditional get of a deleted object")
}

func (s *suite) createIfAbsent() {
	key := s.dir + "once"
	v, err := s.b.PutIfAbsent(s.ctx, key, []byte("first"))
	s.must(err)
	_, err = s.b.PutIfAbsent(s.ctx, key, []byte("second"))
	s.wantKind(err, model.ErrConflict, "second create")
	_, err = s.b.PutIf(s.ctx, key, []byte("third"), "")
	s.wantKind(err, model.ErrConflict, "create by PutIf")
	s.wantContent(key, "first", v)
	s.must(s.b.Delete(s.ctx, key))
	v, err = s.b.PutIfAbsent(s.ctx, key, []byte("again"))
	s.must(err)
	s.wantContent(key, "again", v)
}

func (s *suite) compareAndSwap() {
	key := s.dir + "cas"
	v1, err := s.b.PutIf(s.ctx, key, []byte("1"), "")
	s.must(err)
	v2, err := s.b.PutIf(s.ctx, key, []byte("2"), v1)
	s.must(err)
	_, err = s.b.PutIf(s.ctx, key, []byte("x"), v1)
	s.wantKind(err, model.ErrConflict, "stale swap")
	s.wantContent(key, "2", v2)
	s.must(s.b.Delete(s.ctx, key))
	_, err = s.b.PutIf(s.ctx, key, []byte("x"), v2)
	s.wantKind(err, model.ErrConflict, "swap of a deleted object")
	_, _, err = s.b.Get(s.ctx, key)
	s.wantKind(err, model.ErrNotFound, "the deleted object")
}

// race lets the writers loose on one key and returns the number of the only one that won.
func (s *suite) race(what string, write func(i int) (blob.Version, error)) (int, blob.Version) {
	s.Helper()
	var g errgroup.Group
	start := make(chan struct{})
	versions := make([]blob.Version, racers)
	for i := range racers {
		g.Go(func() error {
			<-start
			v, err := write(i)
			if err == nil {
				versions[i] = v
			} else if !errors.Is(err, model.ErrConflict) {
				return err
			}
			return nil
		})
	}
	close(start)
	s.must(g.Wait())
	winner := -1
	for i, v := range versions {
		if v == "" {
			continue
		}
		if winner >= 0 {
			s.Fatalf("%s: writers %d and %d both won", what, winner, i)
		}
		winner = i
	}
	if winner < 0 {
		s.Fatalf("%s: nobody won", what)
	}
	return winner, versions[winner]
}

func (s *suite) raceToCreate() {
	for round := range s.Rounds {
		key := fmt.Sprintf("%screate/%d", s.dir, round)
		body := func(i int) string { return fmt.Sprintf("round %d writer %d", round, i) }
		i, v := s.race(key, func(i int) (blob.Version, error) { return s.b.PutIfAbsent(s.ctx, key, []byte(body(i))) })
		s.wantContent(key, body(i), v)
	}
}

func (s *suite) raceToSwap() {
	key := s.dir + "swap"
	v := s.put(key, "start")
	for round := range s.Rounds {
		body := func(i int) string { return fmt.Sprintf("round %d writer %d", round, i) }
		old := v
		var i int
		i, v = s.race(fmt.Sprintf("round %d", round), func(i int) (blob.Version, error) {
			return s.b.PutIf(s.ctx, key, []byte(body(i)), old)
		})
		s.wantContent(key, body(i), v)
	}
}
