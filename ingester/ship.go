package ingester

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// errFenced is the refusal of a writer whose id was adopted, until it has moved to a new one.
var errFenced = fmt.Errorf("this writer was adopted and is moving to a new id: %w", model.ErrUnavailable)

// Ship closes the current segment if it holds records and copies every closed segment that is not yet in the
// bucket, strictly in order. It reports whether it copied any. A fence in the place of a segment makes the writer fenced.
func (i *Ingester) Ship(ctx context.Context) (progress bool, err error) {
	if err := i.shipping.take(ctx); err != nil {
		return false, err
	}
	defer i.shipping.give()
	w := i.current()
	if !w.ships.Load() {
		return false, nil
	}
	n, err := i.shipAll(ctx, w)
	return n > 0, err
}

// shipAll ships what there is and settles the tickets of the requests that wait for it. The caller has the turn.
func (i *Ingester) shipAll(ctx context.Context, w *writer) (shipped int, err error) {
	// A request draws its ticket when its record is in the log, so everything up to this one is in the segments up to the cut.
	ticket, logged := w.tickets.Load(), w.unshipped.Load()
	defer func() {
		i.settle(ctx, w, ticket, err)
		if err == nil {
			w.unshipped.Add(-logged)
		}
	}()
	if err := i.mayShip(w); err != nil {
		return 0, err
	}
	if err := i.locate(ctx, w); err != nil {
		return 0, err
	}
	// A broken log cannot be cut, but what was closed before can be shipped.
	cutErr := w.log.Cut(ctx)
	for _, s := range w.log.Segments() {
		at := position{s.Generation, s.Seq}
		if !s.Closed || at.before(w.next) {
			continue
		}
		if err := i.shipSegment(ctx, w, s); err != nil {
			return shipped, err
		}
		shipped++
	}
	if cutErr != nil {
		return shipped, fmt.Errorf("ship: %w: %w", model.ErrUnavailable, cutErr)
	}
	return shipped, nil
}

// mayShip refuses while the roster does not know the writer, because nobody would find what it ships, and
// once it is fenced.
func (i *Ingester) mayShip(w *writer) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case w.fenced:
		return errFenced
	case !i.file.Registered || !i.file.Shipping:
		return fmt.Errorf("ship: writer %s is not in the roster yet: %w", w.id, model.ErrUnavailable)
	}
	return nil
}

func (i *Ingester) shipSegment(ctx context.Context, w *writer, s wal.SegmentInfo) error {
	data, err := w.log.ReadSegment(s.Generation, s.Seq)
	if err != nil {
		return fmt.Errorf("ship: %w", err)
	}
	key := wal.SegmentKey(w.id, s.Generation, s.Seq)
	found, err := putSegment(ctx, i.c.Bucket, key, data)
	at := position{s.Generation, s.Seq}
	switch {
	case err != nil:
		return fmt.Errorf("ship: %w", err)
	case found == fenceFound:
		i.fencedAt(w, at)
		return errFenced
	case found == foreignFound:
		return fmt.Errorf("ship: %s holds other bytes than this log's segment: another process wrote under this id: %w", key, model.ErrCorrupt)
	}
	i.metrics.shippedBytes.Add(float64(len(data)))
	i.mu.Lock()
	w.next = after(s)
	i.mu.Unlock()
	i.builtWake.signal()
	return nil
}

// after is the position of the segment that follows s.
func after(s wal.SegmentInfo) position {
	if s.EndMark {
		return position{s.Generation + 1, 0}
	}
	return position{s.Generation, s.Seq + 1}
}

// finding is what lies under the key of a segment.
type finding uint8

const (
	oursFound finding = iota
	fenceFound
	foreignFound
)

// putSegment creates the object. A taken name is read back: a refusal may be the doing of our own lost try.
func putSegment(ctx context.Context, b *blob.Bucket, key string, data []byte) (finding, error) {
	_, err := b.PutIfAbsent(ctx, key, data)
	if err == nil {
		return oursFound, nil
	}
	if !errors.Is(err, model.ErrConflict) {
		return 0, err
	}
	if planted.On(planted.RefusedMeansFailed) {
		return fenceFound, nil
	}
	have, _, err := b.Get(ctx, key)
	if errors.Is(err, model.ErrNotFound) {
		return 0, fmt.Errorf("%s is taken and cannot be read (%w): %w", key, err, model.ErrUnavailable)
	}
	if err != nil {
		return 0, err
	}
	return identify(have, data)
}

// identify tells whose bytes were found where ours should be.
func identify(have, ours []byte) (finding, error) {
	if bytes.Equal(have, ours) {
		return oursFound, nil
	}
	s, err := wal.ParseSegment(have, nil)
	switch {
	case errors.Is(err, model.ErrVersion):
		return 0, err
	case err == nil && s.Fence:
		return fenceFound, nil
	}
	return foreignFound, nil
}

// fencedAt notes that the writer was adopted. From now on nothing is acknowledged under its id.
func (i *Ingester) fencedAt(w *writer, at position) {
	i.mu.Lock()
	already := w.fenced
	w.fenced = true
	if at != (position{}) {
		w.fence = at
	}
	i.mu.Unlock()
	if already {
		return
	}
	i.metrics.fenced.Inc()
	i.c.Logger.Warn("writer was adopted by another process; moving to a new id", "writer", w.id, "generation", at.gen, "seq", at.seq)
	i.controlWake.signal()
}

// locate finds the first segment that is not in the bucket, once after a start. The segments from there on were never shipped, because
// shipping is strictly in order, so a binary search over the local segments finds the place.
func (i *Ingester) locate(ctx context.Context, w *writer) error {
	if w.located {
		return nil
	}
	next, err := i.searchUnshipped(ctx, w)
	if err != nil {
		return fmt.Errorf("find the next segment to ship: %w", err)
	}
	fenced, err := i.lookForFence(ctx, w, next)
	if err != nil {
		return fmt.Errorf("look for a fence: %w", err)
	}
	i.mu.Lock()
	w.next, w.located = next, true
	i.mu.Unlock()
	if fenced != (position{}) {
		i.fencedAt(w, fenced)
		return errFenced
	}
	return nil
}

// searchUnshipped returns the first position of the local log with no object in the bucket.
func (i *Ingester) searchUnshipped(ctx context.Context, w *writer) (position, error) {
	places := localPositions(w.log)
	low, high := 0, len(places)
	for low < high {
		mid := (low + high) / 2
		there, err := i.exists(ctx, wal.SegmentKey(w.id, places[mid].gen, places[mid].seq))
		if err != nil {
			return position{}, err
		}
		if there {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(places) {
		return places[low], nil
	}
	return i.behindLog(w), nil
}

// localPositions are those of the closed local segments, ascending.
func localPositions(log *wal.Log) []position {
	var ps []position
	for _, s := range log.Segments() {
		if s.Closed {
			ps = append(ps, position{s.Generation, s.Seq})
		}
	}
	return ps
}

// behindLog is the position that follows the last closed segment.
func (i *Ingester) behindLog(w *writer) position {
	p := position{w.log.Generation(), 0}
	for _, s := range w.log.Segments() {
		if s.Closed {
			p = after(s)
		}
	}
	return p
}

func (i *Ingester) exists(ctx context.Context, key string) (bool, error) {
	_, err := i.c.Bucket.GetRange(ctx, key, 0, 1)
	if errors.Is(err, model.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// lookForFence looks at the last segment before next, which is ours or a fence, and where everything local
// is in the bucket, also at next itself. It returns the position of a fence, or the zero position.
func (i *Ingester) lookForFence(ctx context.Context, w *writer, next position) (position, error) {
	var last position
	for _, p := range localPositions(w.log) {
		if p.before(next) {
			last = p
		}
	}
	for _, p := range []position{last, next} {
		if p == (position{}) {
			continue
		}
		key := wal.SegmentKey(w.id, p.gen, p.seq)
		have, _, err := i.c.Bucket.Get(ctx, key)
		if errors.Is(err, model.ErrNotFound) && p == next {
			continue
		}
		if err != nil {
			return position{}, err
		}
		var ours []byte
		if p == last {
			if ours, err = w.log.ReadSegment(p.gen, p.seq); err != nil {
				return position{}, err
			}
		}
		switch found, err := identify(have, ours); {
		case err != nil:
			return position{}, err
		case found == fenceFound:
			return p, nil
		case found == foreignFound:
			return position{}, fmt.Errorf("%s holds other bytes than this log's: another process wrote under this id, or the data directory is an old copy: %w", key, model.ErrCorrupt)
		}
	}
	return position{}, nil
}
