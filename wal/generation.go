package wal

import (
	"context"
	"errors"
	"fmt"
)

// Cut closes the current segment if it holds records, so that it can be shipped. The next one begins with the next group.
// An error that wraps ErrBroken is as after Append.
func (l *Log) Cut(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cut log: %w", err)
	}
	l.lead()
	defer l.yield()
	l.mu.Lock()
	err := l.writableLocked()
	l.mu.Unlock()
	if errors.Is(err, errReplayed) {
		return nil // all its segments are final already, but for the last, which ends with the generation
	}
	if err != nil {
		return fmt.Errorf("cut log: %w", err)
	}
	if l.current == nil || l.current.items == 0 {
		return nil
	}
	if err := l.finishSegment(0); err != nil {
		return fmt.Errorf("cut log: %w", l.breakOn(err))
	}
	return nil
}

// breakOn breaks the generation and returns the error for whoever noticed.
func (l *Log) breakOn(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breakLocked(err)
	return l.broken
}

// EndGeneration writes the end mark and begins the next generation, whose first segment comes with its first group. Records
// encoded before belong to the old generation, and are durable first; Appends that come meanwhile wait and belong to the new one.
//
// The end mark goes to the end of the current segment; after a failure, a restart or a Cut, into a segment of its own, which also says
// where the one before it ends. A generation without any segment stays the current one and nothing is written. After an error the
// generation is the same and broken; call again when the disk may work. A nil error means that the disk has taken a sync just now, or that there was nothing to do.
func (l *Log) EndGeneration() error {
	l.lead()
	defer l.yield()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("end generation %d: %w", l.generation, errClosed)
	}
	l.ending = true
	defer func() {
		l.ending = false
		l.room.Broadcast()
	}()
	if len(l.pending.buf) > itemHeader {
		l.writePending() // if it fails, its waiters are told; the generation ends all the same
	}
	if !l.startedLocked() && l.broken == nil {
		return nil
	}
	l.mu.Unlock()
	err := l.writeEndMark()
	l.mu.Lock()
	if err != nil {
		l.breakLocked(err)
		return fmt.Errorf("end generation %d: %w", l.generation, l.broken)
	}
	l.generation++
	l.broken, l.replayed = nil, false
	l.failPending(nil) // it is empty; the new one belongs to the new generation
	return nil
}

// startedLocked reports whether the current generation has segments.
func (l *Log) startedLocked() bool {
	n := len(l.segments)
	return n > 0 && l.segments[n-1].Generation == l.generation
}

func (l *Log) writeEndMark() error {
	if l.current != nil {
		return l.finishSegment(flagEndMark)
	}
	return l.startSegment(true)
}
