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

// anySegment: a log without a checkpoint may begin with any number.
const anySegment = -1

// readDir reads a log from its checkpoint on.
func (l *logReader) readDir(ctx context.Context, dir string, take func([]byte) error) error {
	first := anySegment
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
func (l *logReader) readSegments(ctx context.Context, dir string, first int, take func([]byte) error) (err error) {
	numbers, err := segments(dir, first)
	if err != nil {
		return err
	}
	next := first
	for i, n := range numbers {
		if n != next && (i > 0 || first != anySegment) {
			if err := l.missing(wlog.SegmentName(dir, next), n-next); err != nil {
				return err
			}
		}
		next = n + 1
	}
	if len(numbers) == 0 && first != anySegment {
		return l.missing(wlog.SegmentName(dir, first), 1) // there is always one that is being written
	}
	// All are opened first: a Prometheus that runs deletes them.
	var open []*wlog.Segment
	defer func() {
		for _, s := range open {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, n := range numbers {
		s, err := wlog.OpenReadSegment(wlog.SegmentName(dir, n))
		if err != nil {
			return err
		}
		open = append(open, s)
	}
	for _, s := range open {
		if err := l.readSegment(ctx, s, take); err != nil {
			return err
		}
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
	return l.t.skips.Add(migrate.Skip{Kind: "log", Where: where, Count: int64(n), Reason: fmt.Sprintf("segments are missing from this one on: %d", n)})
}

// readSegment reads a segment up to its end, or to where it is damaged. Each has a reader of its own: one for all keeps the half of a record beyond the end of a segment that was cut
// off, and takes the next one for damaged.
func (l *logReader) readSegment(ctx context.Context, s *wlog.Segment, take func([]byte) error) error {
	r := wlog.NewReader(wlog.NewSegmentBufReader(s))
	skip := func(err error, more string) error {
		l.damaged = true
		return l.t.skips.Add(migrate.Skip{Kind: "log", Where: wlog.SegmentName(s.Dir(), s.Index()), Offset: r.Offset(), Reason: err.Error() + more})
	}
	for r.Next() {
		if err := ctx.Err(); err != nil {
			return err // a record may have a thousand series
		}
		err := take(r.Record())
		if errors.Is(err, errRecord) {
			err = skip(err, "")
		}
		if err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
		return skip(err, "; the rest of the segment is left out")
	}
	return nil
}
