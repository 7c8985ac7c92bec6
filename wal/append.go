package wal

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/model"
)

// group is what one write and one fsync make durable.
type group struct {
	generation uint64
	buf        []byte // itemHeader bytes of room, then records
	records    []recordSpan

	// done is signaled, under Log.mu, when the group is finished, and when one of its waiters shall write it.
	done     *sync.Cond
	finished bool
	err      error
}

func (l *Log) newGroup() *group {
	buf := l.spare
	l.spare = nil
	if buf == nil {
		buf = make([]byte, itemHeader, 64<<10)
	}
	return &group{generation: l.generation, buf: buf[:itemHeader], done: sync.NewCond(&l.mu)}
}

// Append makes the records that enc encodes durable, together with those of concurrent Appends. enc is called once, or not at all if the log takes no
// records now, under the log's buffer mutex: calls of enc follow one another in the order of the log, so that enc may decide
// which refs still need a definition. It must not call the log. If enc encodes nothing, Append returns at once.
//
// An error that wraps ErrBroken means that the generation takes no more records, the definitions of this call included, until EndGeneration.
// Any other error (a record without or with too long a tenant, or beyond 64 MiB) means that the log is as if there had been no call.
func (l *Log) Append(enc func(e *Encoder)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.ending || l.leader && len(l.pending.buf) >= l.opts.PendingBytes {
		l.room.Wait()
	}
	if err := l.writableLocked(); err != nil {
		return fmt.Errorf("append to generation %d: %w", l.generation, err)
	}
	g := l.pending
	before := len(g.buf)
	if err := l.encoder.encode(g, enc); err != nil {
		return fmt.Errorf("append to generation %d: %w", l.generation, err)
	}
	if len(g.buf) == before {
		return nil
	}
	for !g.finished && l.leader {
		g.done.Wait()
	}
	if !g.finished {
		l.leader = true
		l.writePending()
		l.yieldLocked()
	}
	return g.err
}

func (l *Log) writableLocked() error {
	switch {
	case l.closed:
		return errClosed
	case l.broken != nil:
		return l.broken
	case l.replayed && !planted.On(planted.AppendToReplayed):
		return errReplayed
	}
	return nil
}

// writePending writes the pending group and tells its waiters. The caller leads and holds mu, which is let go meanwhile.
func (l *Log) writePending() {
	g := l.pending
	l.pending = l.newGroup()
	l.room.Broadcast()
	l.mu.Unlock()
	err := l.writeGroup(g)
	l.mu.Lock()
	if err != nil {
		l.breakLocked(err)
		err = l.broken
	}
	g.finish(err)
	const keep = 4 << 20
	if l.spare == nil && cap(g.buf) <= keep {
		l.spare = g.buf[:itemHeader]
	}
	g.buf = nil
}

func (g *group) finish(err error) {
	g.finished, g.err = true, err
	g.done.Broadcast()
}

// breakLocked ends all writing in this generation. Whatever has gathered fails too, since it may build on definitions of the failed group.
func (l *Log) breakLocked(err error) {
	l.broken = fmt.Errorf("%w: %w", ErrBroken, err)
	l.failPending(l.broken)
}

func (l *Log) failPending(err error) {
	g := l.pending
	l.pending = l.newGroup()
	l.room.Broadcast()
	g.finish(err)
}

// writeGroup appends the group to the current segment, or to a new one. The caller leads.
func (l *Log) writeGroup(g *group) error {
	size := int64(len(g.buf))
	if w := l.current; w != nil && w.items > 0 && w.size+size > l.opts.SegmentBytes {
		if err := l.finishSegment(0); err != nil {
			return err
		}
	}
	if l.current == nil {
		if err := l.startSegment(false); err != nil {
			return err
		}
	}
	w := l.current
	if size > math.MaxUint32 {
		return fmt.Errorf("write %s: group of %d bytes: %w", w.name, size, model.ErrLimit)
	}
	base := int(w.size)
	if err := w.write(item{typ: typeGroup}, g.buf); err != nil {
		return errors.Join(err, l.current.close(&l.current))
	}
	w.index.add(g.records, base)
	l.grown(w.size, false, false)
	return nil
}

// grown notes the new valid length of the last segment.
func (l *Log) grown(size int64, closed, endMark bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := &l.segments[len(l.segments)-1]
	last.Bytes, last.Closed, last.EndMark = size, closed, endMark
	l.valid = size
}
