package ingester

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
	"github.com/varvedb/varve/wal"
)

// AdoptReport says what an adoption found and did.
type AdoptReport struct {
	Writer string
	// AlreadyAdopted: somebody else had finished it; the rest is zero.
	AlreadyAdopted bool
	// FenceGeneration and FenceSeq are the position of the fence: what the writer logged from there on is only on its disk.
	FenceGeneration, FenceSeq uint64
	// Segments and Samples count what lies before the fence and was not released.
	Segments int
	Samples  int64
	// Blocks were added to catalogs by this adoption; Present were there already.
	Blocks, Present int
}

// Adopt recovers what the dead writer shipped: it puts a fence at the end of the log in the bucket and flushes what lies before it under the dead
// writer's id, then marks the writer as adopted. Of the components it needs Bucket and Catalog, no data directory.
//
// If the writer is not dead, nothing breaks: it meets the fence and moves to a new id with what it has behind it. Several adopters at once are
// harmless, and one that died is finished by running it again. A writer that does not ship is refused (model.ErrInvalid), because its
// log is only on its disk; one that is not in the roster is model.ErrNotFound.
func Adopt(ctx context.Context, dead string, c Components) (AdoptReport, error) {
	return adopt(ctx, dead, "adopt", c)
}

// adopt is Adopt by the one that is named in the fence, for whoever wonders later.
func adopt(ctx context.Context, dead, by string, c Components) (AdoptReport, error) {
	a := &adopter{dead: dead, by: by, c: c.withDefaults()}
	if err := tenant.Check(dead); err != nil {
		return a.report, fmt.Errorf("adopt writer %w", err)
	}
	if err := a.run(ctx); err != nil {
		return a.report, fmt.Errorf("adopt writer %s: %w", dead, err)
	}
	return a.report, nil
}

type adopter struct {
	dead   string
	by     string
	c      Components
	report AdoptReport
}

// maxWalks bounds how often the log is walked anew because the writer released it under the adopter, hence lives.
const maxWalks = 10

func (a *adopter) run(ctx context.Context) error {
	for range maxWalks {
		a.report = AdoptReport{Writer: a.dead}
		w, err := a.entry(ctx)
		if err != nil {
			return err
		}
		if w.State == catalog.Adopted {
			a.report.AlreadyAdopted = true
			return nil
		}
		fence, err := a.fence(ctx, position{w.Released + 1, 0})
		if err != nil {
			return err
		}
		a.report.FenceGeneration, a.report.FenceSeq = fence.gen, fence.seq
		err = a.flushAll(ctx, w.Released+1, fence)
		switch {
		case err == nil:
			err = a.finish(ctx, fence)
		case errors.Is(err, model.ErrNotFound):
			err = a.missing(ctx, w.Released, err)
		}
		if !errors.Is(err, errReleasedMeanwhile) {
			return err
		}
	}
	return fmt.Errorf("it keeps releasing its log, so it lives: %w", model.ErrConflict)
}

func (a *adopter) entry(ctx context.Context) (catalog.Writer, error) {
	roster, err := a.c.Catalog.Roster(ctx, nil)
	if err != nil {
		return catalog.Writer{}, err
	}
	w := roster.Find(a.dead)
	switch {
	case w == nil:
		return catalog.Writer{}, fmt.Errorf("it is not in the roster: %w", model.ErrNotFound)
	case !w.Shipping && w.State != catalog.Adopted:
		return catalog.Writer{}, fmt.Errorf("it does not ship its log, which is only in its data directory: %w", model.ErrInvalid)
	}
	return *w, nil
}

// fence walks the log from p to the first missing segment and puts the fence there. Where somebody was quicker, be it the writer with
// another segment or an adopter with a fence, the walk goes on.
func (a *adopter) fence(ctx context.Context, p position) (position, error) {
	for {
		s, err := a.segment(ctx, p)
		switch {
		case errors.Is(err, model.ErrNotFound):
			if planted.On(planted.AdoptWithoutFence) {
				return p, nil
			}
			key := wal.SegmentKey(a.dead, p.gen, p.seq)
			_, err := a.c.Bucket.PutIfAbsent(ctx, key, wal.FenceSegment(a.dead, p.gen, p.seq, a.by))
			if err == nil {
				return p, nil
			}
			if !errors.Is(err, model.ErrConflict) {
				return position{}, fmt.Errorf("put fence: %w", err)
			}
		case err != nil:
			return position{}, err
		case s.Fence:
			return p, nil
		case s.EndMark:
			p = position{p.gen + 1, 0}
		default:
			p.seq++
		}
	}
}

// segment reads one segment of the bucket's log.
func (a *adopter) segment(ctx context.Context, p position) (*wal.Segment, error) {
	key := wal.SegmentKey(a.dead, p.gen, p.seq)
	data, _, err := a.c.Bucket.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	s, err := wal.ParseSegment(data, &wal.ParseOptions{Name: key})
	if err != nil {
		return nil, err
	}
	if s.Writer != a.dead || s.Generation != p.gen || s.Seq != p.seq {
		return nil, fmt.Errorf("%s holds segment %d/%d of writer %.80q: %w", key, s.Generation, s.Seq, s.Writer, model.ErrCorrupt)
	}
	return s, nil
}

// flushAll commits the blocks of the generations from first on to that of the fence.
func (a *adopter) flushAll(ctx context.Context, first uint64, fence position) error {
	for gen := first; gen <= fence.gen; gen++ {
		if err := a.flush(ctx, gen, fence); err != nil {
			return fmt.Errorf("generation %d: %w", gen, err)
		}
	}
	return nil
}

// missing says what it means that something that was there is gone: the writer has released more than it had, and so lives; or it is an error.
func (a *adopter) missing(ctx context.Context, released uint64, fault error) error {
	w, err := a.entry(ctx)
	switch {
	case err != nil:
		return err
	case w.Released > released:
		return errReleasedMeanwhile
	}
	return fault
}

// flush commits the blocks of one generation, as far as it lies before the fence.
func (a *adopter) flush(ctx context.Context, gen uint64, fence position) error {
	table, err := a.load(ctx, gen, fence)
	if err != nil {
		return err
	}
	c := &committer{bucket: a.c.Bucket, catalog: a.c.Catalog, nowMs: func() int64 { return a.c.Now().UnixMilli() }}
	for _, key := range tablePartitions(table) {
		added, err := a.commit(ctx, c, gen, key, tableSeries(table, key))
		if err != nil {
			return fmt.Errorf("commit %s %s: %w", key.tenant, key.day, err)
		}
		if added {
			a.report.Blocks++
		} else {
			a.report.Present++
		}
	}
	return nil
}

// load reads the segments of one generation that lie before the fence.
func (a *adopter) load(ctx context.Context, gen uint64, fence position) (*memtable.Table, error) {
	table := memtable.New(nil, nil)
	r := newReplayer(table)
	for p := (position{gen, 0}); p.before(fence); p.seq++ {
		s, err := a.segment(ctx, p)
		if err != nil {
			return nil, err
		}
		a.report.Segments++
		err = s.Records("", r.replay)
		if err != nil {
			return nil, err
		}
		if s.EndMark {
			break
		}
	}
	r.flush()
	table.Seal()
	a.report.Samples += samplesOf(table)
	return table, nil
}

// commit builds a block in memory and commits it, unless the catalog has the generation already.
func (a *adopter) commit(ctx context.Context, c *committer, gen uint64, key partitionKey, series iter.Seq2[blocks.BuildSeries, error]) (added bool, err error) {
	flushed, err := c.flushed(ctx, key, a.dead, gen)
	if err != nil || flushed {
		return false, err
	}
	build := func(ctx context.Context, attempt uint32) (block, error) {
		var buf bytes.Buffer
		m, err := blocks.Build(ctx, &blocks.Params{
			Tenant: key.tenant, Day: key.day, Writer: a.dead, Generation: gen, Attempt: attempt, CreatedMs: c.nowMs(),
		}, series, &buf)
		return block{m, buf.Bytes()}, err
	}
	b, err := build(ctx, 0)
	if err != nil {
		return false, err
	}
	outcome, err := c.commit(ctx, b, &upload{}, build)
	return outcome == catalog.Added, err
}

// errReleasedMeanwhile: the writer released the fence's generation, or an earlier one that was still to be read, while it was being adopted. Then the missing
// segment may not have been the end of its log but have been collected, the writer will not meet the fence, and the walk begins again behind what it
// released. The fence stays where nobody looks any more.
var errReleasedMeanwhile = errors.New("its log was released meanwhile")

// finish marks the writer as adopted, on condition that the fence lies in its way.
func (a *adopter) finish(ctx context.Context, fence position) error {
	_, err := a.c.Catalog.UpdateRoster(ctx, func(r *catalog.Roster) error {
		w := r.Find(a.dead)
		switch {
		case w == nil:
			return fmt.Errorf("it is not in the roster any more: %w", model.ErrNotFound)
		case w.State == catalog.Adopted:
			return nil
		case w.Released >= fence.gen:
			return errReleasedMeanwhile
		}
		w.State, w.Released = catalog.Adopted, fence.gen
		return nil
	})
	if err == nil {
		a.c.Logger.Info("writer adopted", "writer", a.dead, "generation", fence.gen, "seq", fence.seq,
			"samples", a.report.Samples, "blocks", a.report.Blocks)
	}
	return err
}
