package wal

import (
	"context"
	"fmt"
	"io"

	"github.com/varvedb/varve/model"
)

// Replay calls fn with the records of one generation, in the order of the log, on the calling goroutine; it holds
// one segment in memory at a time. Of segments before seq from, only the definitions are handed over, since later records need
// them. It sees what was durable when it began, and stops at the first error of fn, which it returns as it is.
func (l *Log) Replay(ctx context.Context, generation, from uint64, fn func(Record) error) error {
	var buf []byte
	var d *decoder
	for _, info := range l.Segments() {
		if info.Generation != generation || info.Fence {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("replay generation %d: %w", generation, err)
		}
		s, err := l.parse(info, buf)
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		buf = s.data[:0]
		if d == nil {
			d = newDecoder(s.h, fn)
		}
		d.rec.Seq, d.onlyDefs = info.Seq, info.Seq < from
		if err := s.decode("", d); err != nil {
			return err
		}
	}
	return nil
}

// ReadSegment returns the bytes to ship of a segment that is closed: its whole valid length and nothing else, checked.
// A segment that may still change is refused; model.ErrNotFound if there is none.
func (l *Log) ReadSegment(generation, seq uint64) ([]byte, error) {
	p := Position{generation, seq}
	for _, info := range l.Segments() {
		if info.Generation != generation || info.Seq != seq {
			continue
		}
		if !info.Closed {
			return nil, fmt.Errorf("read segment %s: it is still being written: %w", l.path(p), model.ErrConflict)
		}
		s, err := l.parse(info, nil)
		if err != nil {
			return nil, fmt.Errorf("read segment: %w", err)
		}
		return s.data, nil
	}
	return nil, fmt.Errorf("read segment %s: %w", l.path(p), model.ErrNotFound)
}

// parse reads the valid part of a segment into buf and parses it.
func (l *Log) parse(info SegmentInfo, buf []byte) (*Segment, error) {
	name := l.path(Position{info.Generation, info.Seq})
	f, err := l.fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", model.ErrNotFound, err)
	}
	defer f.Close()
	buf = resize(buf, info.Bytes)
	if n, err := io.ReadFull(f, buf); err != nil {
		return nil, fmt.Errorf("read %s at offset %d of %d: %w: %w", name, n, info.Bytes, model.ErrCorrupt, err)
	}
	return ParseSegment(buf, &ParseOptions{Name: name})
}
