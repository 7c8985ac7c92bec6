package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/model"
)

// Outcome says how an operation came to be done.
type Outcome uint8

// The outcomes of a commit that returned no error.
const (
	// Added: this call wrote it.
	Added Outcome = 1
	// Already: the state holds exactly this operation, from an earlier call, or from somebody who made the same block.
	Already Outcome = 2
	// Superseded: the state holds the operation's purpose by other means: the generation was flushed with another block, or by this
	// one and merges have since replaced and collected it. There is nothing left to do, and the block of this operation is not
	// referred to.
	Superseded Outcome = 3
)

// String returns the outcome in lower case.
func (o Outcome) String() string {
	switch o {
	case Added:
		return "added"
	case Already:
		return "already"
	case Superseded:
		return "superseded"
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// Result is what a commit led to.
type Result struct {
	Outcome Outcome
	// Partition is a state that holds the operation.
	Partition *Partition
}

// Refusals by a state that was read. Calling again with the same operation is refused again.
var (
	// ErrDropped: the id of the block was dropped, its object may be gone. Build it again under the next attempt number.
	ErrDropped = fmt.Errorf("block id was dropped: %w", model.ErrConflict)
	// ErrGravestone: the tenant was deleted.
	ErrGravestone = fmt.Errorf("tenant was deleted: %w", model.ErrNotFound)
)

// Commit makes the operation part of the partition's catalog, or finds that it is. See the package comment for what its errors
// mean. It creates the catalog if there is none, after entering the day in the root.
func (s *Store) Commit(ctx context.Context, tenant string, day model.Day, op Operation) (Result, error) {
	var found Outcome
	out, err := update(ctx, s, partitionObject(tenant, day), func(p *Partition) (bool, error) {
		if p.GravestoneMs != 0 {
			return false, ErrGravestone
		}
		var done bool
		if found, done = op.applied(p); done {
			return false, nil
		}
		nowMs := s.nowMs()
		p.prune(nowMs)
		if err := op.apply(p, nowMs); err != nil {
			return false, err
		}
		if p.Missing {
			return true, s.enterDay(ctx, tenant, day)
		}
		return true, nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("commit %v to catalog %s: %w", op, partitionKey(tenant, day), err)
	}
	if out.wrote {
		found = Added
	}
	return Result{Outcome: found, Partition: out.state}, nil
}

// enterDay puts the day into the tenant's root.
func (s *Store) enterDay(ctx context.Context, tenant string, day model.Day) error {
	_, err := update(ctx, s, rootObject(tenant), func(r *Root) (bool, error) {
		if r.GravestoneMs != 0 {
			return false, ErrGravestone
		}
		if r.Has(day) {
			return false, nil
		}
		r.addDay(day)
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("enter day %v in root: %w", day, err)
	}
	return nil
}

// updated is the result of update.
type updated[S any] struct {
	// state holds the change.
	state S
	// wrote: a write of this call made the change.
	wrote bool
}

// update is the commit loop of every object: read, change a copy, write if nothing else was written meanwhile, and in doubt read back.
// change reports whether there is anything to write; it may be called several times, each time with the copy of another state.
func update[S state[S]](ctx context.Context, s *Store, o object[S], change func(S) (bool, error)) (updated[S], error) {
	random, err := s.random()
	if err != nil {
		return updated[S]{}, err
	}
	nonce := Nonce(random)
	var cur S
	var t tries
	for {
		cur, err = read(ctx, s, o, cur)
		if err != nil {
			if err := s.pause(ctx, &t, err); err != nil {
				return updated[S]{}, err
			}
			continue
		}
		if t.writes > 0 && cur.head().wrote(nonce) {
			return updated[S]{cur, true}, nil
		}
		next := cur.clone()
		if changed, err := change(next); err != nil || !changed {
			return updated[S]{state: cur}, err
		}
		next.head().advance(nonce)
		err = s.write(ctx, o.key, cur, next)
		if err == nil {
			return updated[S]{next, true}, nil
		}
		t.writes++
		if errors.Is(err, errTooLarge) {
			return updated[S]{}, err
		}
		if errors.Is(err, model.ErrConflict) && planted.On(planted.RefusedMeansFailed) {
			return updated[S]{}, err
		}
		if err := s.pause(ctx, &t, err); err != nil {
			return updated[S]{}, err
		}
		s.readBacks.Add(1)
		s.metrics.readBacks.Inc()
	}
}

// write writes next in place of cur.
func (s *Store) write(ctx context.Context, key string, cur, next storable) error {
	data, err := s.codec.seal(next)
	if err != nil {
		return err
	}
	version, _, oldBytes := cur.stored()
	if len(data) > HardLimitBytes && len(data) > oldBytes {
		return fmt.Errorf("%s would have %d bytes, at most %d are allowed: %w", key, len(data), HardLimitBytes, errTooLarge)
	}
	if version == "" {
		version, err = s.bucket.PutIfAbsent(ctx, key, data)
	} else {
		version, err = s.bucket.PutIf(ctx, key, data, version)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	next.setStored(version, false, len(data))
	return nil
}

// errTooLarge is the refusal of a state above the hard limit.
var errTooLarge = fmt.Errorf("catalog is full until a merge has made room: %w", model.ErrLimit)

// tries counts what went wrong in one update.
type tries struct {
	writes, conflicts, failures int
}

// pause waits before the next round after the failure, or returns the error that ends the update.
func (s *Store) pause(ctx context.Context, t *tries, failure error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w (outcome unknown: %w)", failure, err)
	}
	step := 0
	if errors.Is(failure, model.ErrConflict) {
		s.conflicts.Add(1)
		s.metrics.conflicts.Inc()
		t.conflicts++
		step = t.conflicts
	} else {
		if errors.Is(failure, model.ErrCorrupt) || errors.Is(failure, model.ErrVersion) {
			return failure
		}
		t.failures++
		step = t.failures
		if t.failures > s.opts.MaxUnavailable {
			return fmt.Errorf("outcome unknown: %w", failure)
		}
	}
	if t.conflicts+t.failures >= s.opts.MaxAttempts {
		return fmt.Errorf("gave up after %d attempts, outcome unknown: %v: %w", t.conflicts+t.failures, failure, model.ErrUnavailable)
	}
	d, err := s.backoff(step)
	if err != nil {
		return err
	}
	return s.c.Sleep(ctx, d)
}

// backoff draws the pause after the n-th failure: evenly between 0 and a ceiling that doubles.
func (s *Store) backoff(n int) (time.Duration, error) {
	ceiling := s.opts.BackoffMax
	if shift := n - 1; shift < 20 {
		ceiling = min(ceiling, s.opts.BackoffBase<<shift)
	}
	r, err := s.random()
	if err != nil {
		return 0, err
	}
	return time.Duration(r % uint64(ceiling+1)), nil
}
