package prom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/wlog"

	"github.com/varvedb/varve/migrate"
)

// readDir reads a log from its checkpoint on.
func (l *logReader) readDir(ctx context.Context, dir string, take func([]byte) error) error {
	first := 0
	checkpoint, n, err := wlog.LastCheckpoint(dir)
	if err == nil {
		first = n + 1
		if err := l.readSegments(ctx, checkpoint, 0, take); err != nil {
			return err
		}
	} else if !errors.Is(err, record.ErrNotFound) {
		return fmt.Errorf("find checkpoint in %s: %w", dir, err)
	}
	return l.readSegments(ctx, dir, first, take)
}

// readSegments reads the segments of a directory from the first one on. One that is damaged is read up to there, and the next one follows: no record lies in two.
func (l *logReader) readSegments(ctx context.Context, dir string, first int, take func([]byte) error) error {
	numbers, err := segments(dir, first)
	if err != nil {
		return err
	}
	next := first
	for i, n := range numbers {
		// Without a checkpoint a log may begin with any number.
		if n != next && (i > 0 || first > 0) {
			if err := l.missing(wlog.SegmentName(dir, next), n-next); err != nil {
				return err
			}
		}
		next = n + 1
	}
	for len(numbers) > 0 {
		behind, err := l.readUntilDamage(ctx, dir, numbers, take)
		if err != nil {
			return err
		}
		numbers = numbers[behind:]
	}
	return nil
}

// segments are the numbers of the segments in a directory from the first one on, in order.
func segments(dir string, first int) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n >= first && filepath.Base(wlog.SegmentName(dir, n)) == e.Name() {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// missing names segments that are not there.
func (l *logReader) missing(where string, n int) error {
	l.damaged = true
	return l.t.skips.Add(migrate.Skip{Kind: "log", Where: where, Count: int64(n), Reason: fmt.Sprintf("%d segments from this one on are missing", n)})
}

// readUntilDamage reads segments up to damage or to the end, and returns how many of them are done with.
func (l *logReader) readUntilDamage(ctx context.Context, dir string, numbers []int, take func([]byte) error) (done int, err error) {
	var files []*wlog.Segment
	for _, n := range numbers {
		s, err := wlog.OpenReadSegment(wlog.SegmentName(dir, n))
		if err != nil {
			for _, s := range files {
				err = errors.Join(err, s.Close())
			}
			return 0, err
		}
		files = append(files, s)
	}
	in := wlog.NewSegmentBufReader(files...)
	defer func() { err = errors.Join(err, in.Close()) }()
	r := wlog.NewReader(in)
	for r.Next() {
		if err := ctx.Err(); err != nil {
			return 0, err // a record may have a thousand series
		}
		err := take(r.Record())
		if errors.Is(err, errRecord) {
			l.damaged = true
			err = l.t.skips.Add(migrate.Skip{Kind: "log", Where: wlog.SegmentName(dir, r.Segment()), Offset: r.Offset(), Reason: err.Error()})
		}
		if err != nil {
			return 0, err
		}
	}
	err = r.Err()
	if err == nil || errors.Is(err, io.EOF) {
		return len(numbers), nil
	}
	l.damaged = true
	at := slices.Index(numbers, r.Segment())
	s := migrate.Skip{Kind: "log", Where: wlog.SegmentName(dir, r.Segment()), Offset: r.Offset(), Reason: err.Error() + "; the rest of the segment is left out"}
	if at < 0 {
		at, s.Where, s.Offset = len(numbers)-1, dir, 0
	}
	return at + 1, l.t.skips.Add(s)
}
