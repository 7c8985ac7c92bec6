package own

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// shippedLogs is what the logs of writers in the bucket hold of the tenant that is in no block, sorted on local disk. nil is none.
type shippedLogs struct {
	sorter *spill.Sorter
	// print changes with what the logs hold.
	print string
}

// readLogs reads the logs of active writers from the first generation that they have not released, in the order of their ids: of equal timestamps the last one wins, as in a query.
func (s *Source) readLogs(ctx context.Context, roster *catalog.Roster, r model.TimeRange, want migrate.Want) (*shippedLogs, error) {
	l := &shippedLogs{sorter: spill.New(s.opts.TempDir, s.opts.SortBytes, spill.LastWins)}
	l.sorter.Stop = ctx.Err
	err := s.readAll(ctx, l, roster, r, want)
	if err == nil {
		err = l.sorter.Finish()
	}
	if err == nil && len(l.sorter.Counts()) > 0 {
		return l, nil
	}
	return nil, errors.Join(err, l.close())
}

func (s *Source) readAll(ctx context.Context, l *shippedLogs, roster *catalog.Roster, r model.TimeRange, want migrate.Want) error {
	flushed := &flushedThrough{s: s, days: map[model.Day]map[string]uint64{}}
	for i := range roster.Writers {
		w := &roster.Writers[i]
		if w.State != catalog.Active {
			continue
		}
		reader := &logReader{s: s, ctx: ctx, w: w, to: l.sorter, r: r, want: want, flushed: flushed}
		if err := reader.read(); err != nil {
			return fmt.Errorf("read log of writer %s: %w", w.ID, err)
		}
		l.print += fmt.Sprintf("%s %d %d %d ", w.ID, reader.gen, reader.seq, reader.bytes)
		if w.Shipping || w.Mode == modeObject {
			continue
		}
		s.silent = true
		err := s.skips.Add(migrate.Skip{
			Kind: "log", Where: "writer " + w.ID,
			Reason: fmt.Sprintf("it is active and does not ship its log: what it took since it flushed last (after generation %d) is not in the bucket; have it flush, or stop it", w.Released),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// modeObject is the durability mode whose log is in the bucket before anything is acknowledged.
const modeObject = "object"

func (l *shippedLogs) has(day model.Day) bool { return l.sorter.Counts()[day] > 0 }

func (l *shippedLogs) series(ctx context.Context, day model.Day) iter.Seq2[model.Series, error] {
	return l.sorter.Series(ctx, day)
}

// extents adds what the logs hold of days.
func (l *shippedLogs) extents(to map[model.Day]*migrate.Extent) {
	if l == nil {
		return
	}
	for day, n := range l.sorter.Counts() {
		if to[day] == nil {
			to[day] = &migrate.Extent{Day: day}
		}
		to[day].Samples += n
		to[day].Fingerprint += " log " + l.print
	}
}

func (l *shippedLogs) close() error { return l.sorter.Close() }

// logReader reads the log of one writer, a segment at a time.
type logReader struct {
	s       *Source
	ctx     context.Context //nolint:containedctx // of one call of read
	w       *catalog.Writer
	to      *spill.Sorter
	r       model.TimeRange
	want    migrate.Want
	flushed *flushedThrough

	gen, seq uint64
	bytes    int64
	refs     map[uint32]*logSeries
}

// logSeries is a series of the log; nil labels are not wanted.
type logSeries struct {
	key    []byte
	labels labels.Labels
	wanted bool
}

// read goes through the log up to the first key that is missing, a fence, or damage, which is named.
func (l *logReader) read() error {
	l.gen = l.w.Released + 1
	data, err := l.get(l.gen, 0)
	for err == nil && data != nil {
		// How much of a segment counts is said by the one after it.
		next, nextErr := l.get(l.gen, l.seq+1)
		if nextErr != nil {
			return nextErr
		}
		segment, parseErr := wal.ParseSegment(data, &wal.ParseOptions{Name: l.key(l.gen, l.seq), Valid: prevValid(next)})
		if parseErr == nil && segment.Fence {
			return nil
		}
		if parseErr == nil {
			parseErr = segment.Records(l.s.tenant, l.add)
		}
		if parseErr != nil {
			return l.damage(parseErr)
		}
		l.bytes += int64(len(data))
		if segment.EndMark {
			l.gen, l.seq, l.refs = l.gen+1, 0, nil
			data, err = l.get(l.gen, 0)
			continue
		}
		l.seq, data = l.seq+1, next
	}
	return err
}

// prevValid is what a segment says of the one before it; 0, which is all of that, if there is none or if it is damaged, which is found when its turn comes.
func prevValid(next []byte) int64 {
	if next == nil {
		return 0
	}
	s, err := wal.ParseSegment(next, nil)
	if err != nil {
		return 0
	}
	return s.PrevValid
}

func (l *logReader) key(gen, seq uint64) string { return wal.SegmentKey(l.w.ID, gen, seq) }

// get returns a segment, nil if there is none. Stores answer readers that may not list with 403, which is also what no permission at all looks like: the writer's identity tells
// them apart.
func (l *logReader) get(gen, seq uint64) ([]byte, error) {
	data, _, err := l.s.bucket.Get(l.ctx, l.key(gen, seq))
	if !errors.Is(err, model.ErrNotFound) {
		return data, err
	}
	if blob.IsDenied(err) {
		if _, _, err := l.s.bucket.Get(l.ctx, "w/"+l.w.ID+"/id"); err != nil {
			return nil, fmt.Errorf("%w: %w", model.ErrUnavailable, err)
		}
	}
	return nil, nil
}

// damage names what is behind a damaged place; errors of other kinds end the reading.
func (l *logReader) damage(err error) error {
	if !errors.Is(err, model.ErrCorrupt) && !errors.Is(err, model.ErrVersion) {
		return err
	}
	return l.s.skips.Add(migrate.Skip{Kind: "log", Where: l.key(l.gen, l.seq), Reason: err.Error() + "; left out from there on"})
}

// add sorts the records in that are in no block.
func (l *logReader) add(r wal.Record) error {
	if l.refs == nil {
		l.refs = map[uint32]*logSeries{}
	}
	for _, d := range r.Defs {
		s := &logSeries{wanted: l.s.wants(l.want, d.Labels)}
		if s.wanted {
			s.labels = d.Labels.Copy()
			s.key = s.labels.Bytes(nil)
		}
		l.refs[d.Ref] = s
	}
	for _, v := range r.Samples {
		if err := l.sample(v.Ref, v.T, v.V, nil); err != nil {
			return err
		}
	}
	for _, h := range r.Histograms {
		if err := l.sample(h.Ref, h.T, 0, h.H); err != nil {
			return err
		}
	}
	return l.ctx.Err()
}

func (l *logReader) sample(ref uint32, t int64, v float64, h []byte) error {
	s := l.refs[ref]
	if s == nil {
		return fmt.Errorf("sample of undefined series %d: %w", ref, model.ErrCorrupt)
	}
	if !s.wanted || !l.r.Contains(t) {
		return nil
	}
	in, err := l.flushed.has(l.ctx, model.DayOf(t), l.w.ID, l.gen)
	if err != nil || in {
		return err
	}
	if h != nil {
		h = slices.Clone(h)
	}
	return l.to.Add(s.key, func() (labels.Labels, error) { return s.labels, nil }, t, v, h)
}

// flushedThrough knows up to which generation of whom the days are in blocks. What is in them already may have been deleted there.
type flushedThrough struct {
	s    *Source
	days map[model.Day]map[string]uint64
}

func (f *flushedThrough) has(ctx context.Context, day model.Day, writer string, gen uint64) (bool, error) {
	flushed, ok := f.days[day]
	if !ok {
		p, err := f.s.partition(ctx, day)
		if err != nil {
			return false, err
		}
		if p != nil {
			flushed = p.Flushed
		}
		f.days[day] = flushed
	}
	have, ok := flushed[writer]
	return ok && have >= gen, nil
}
