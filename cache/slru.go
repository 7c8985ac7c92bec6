package cache

import "container/list"

// slru says what to let go of when a budget of bytes is used up: a segmented LRU. What is new is on trial, and what is asked for again is
// kept; the kept ones may take four fifths of the budget, and the least recent of them go back on trial. So one large scan drives out
// nothing but what was asked for once, and unlike with counters of admission every outcome can be told beforehand. Not safe for
// concurrent use.
type slru[T any] struct {
	max         int64
	used        int64
	keptBytes   int64
	trial, kept list.List // most recent first, of *slot[T]
}

// slot is the place of a value in an slru.
type slot[T any] struct {
	value T
	bytes int64
	kept  bool
	at    *list.Element
}

// add puts in a value that is on trial. The caller evicts until it fits.
func (q *slru[T]) add(v T, bytes int64) *slot[T] {
	s := &slot[T]{value: v, bytes: bytes}
	s.at = q.trial.PushFront(s)
	q.used += bytes
	return s
}

// touch notes that the value was asked for.
func (q *slru[T]) touch(s *slot[T]) {
	if s.kept {
		q.kept.MoveToFront(s.at)
		return
	}
	q.trial.Remove(s.at)
	s.at, s.kept = q.kept.PushFront(s), true
	for q.keptBytes += s.bytes; q.keptBytes > q.max/5*4 && q.kept.Len() > 1; {
		last := q.kept.Back().Value.(*slot[T])
		q.kept.Remove(last.at)
		q.keptBytes -= last.bytes
		last.at, last.kept = q.trial.PushFront(last), false
	}
}

// remove takes the value out.
func (q *slru[T]) remove(s *slot[T]) {
	if s.kept {
		q.kept.Remove(s.at)
		q.keptBytes -= s.bytes
	} else {
		q.trial.Remove(s.at)
	}
	q.used -= s.bytes
}

// last returns what is to go first, nil if there is nothing.
func (q *slru[T]) last() *slot[T] {
	at := q.trial.Back()
	if at == nil {
		at = q.kept.Back()
	}
	if at == nil {
		return nil
	}
	return at.Value.(*slot[T])
}
