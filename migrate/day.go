package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// dayJob takes over one day.
type dayJob struct {
	*job
	e      Extent
	writer string
	// attempts are the attempt numbers of parts, by generation, where the first does not do.
	attempts map[uint64]uint32
	counted  bool  // samples were counted as progress
	unshown  int64 // samples since progress was shown last
	complete bool  // the catalog says so
}

func (j *job) newDay(e Extent) *dayJob {
	return &dayJob{job: j, e: e, writer: j.writer(&e), attempts: map[uint64]uint32{}}
}

// errAgain: the day is to be read again, with what was learned of names that are taken.
var errAgain = errors.New("name is taken or dropped")

// maxRounds bounds how often a day is read; a second time is rare.
const maxRounds = 100

func (d *dayJob) run(ctx context.Context) error {
	if f, ok := d.src.(Fetcher); ok {
		return d.fetched(ctx, f)
	}
	return d.rounds(ctx)
}

// rounds reads the day until it is complete.
func (d *dayJob) rounds(ctx context.Context) error {
	for range maxRounds {
		err := d.round(ctx)
		if !errors.Is(err, errAgain) {
			return err
		}
		d.counted = true
	}
	return fmt.Errorf("names of %d blocks are taken by other bytes: %w", maxRounds, model.ErrCorrupt)
}

// round reads the day once and commits what is not yet committed.
func (d *dayJob) round(ctx context.Context) error {
	if d.cfg.DryRun {
		return d.dryRound(ctx)
	}
	p, err := d.c.Catalog.Partition(ctx, d.cfg.Tenant, d.e.Day, nil)
	if err != nil {
		return err
	}
	if p.FlushedThrough(d.writer, complete) {
		d.complete = true
		d.pass(d.e.Samples)
		d.count.day(true)
		return nil
	}
	return d.each(ctx, func(generation uint64, s *stream) error {
		if p.FlushedThrough(d.writer, generation) {
			return s.drain(d.limits())
		}
		p, err = d.part(ctx, generation, s)
		return err
	}, func() error {
		_, err := d.c.Catalog.Commit(ctx, d.cfg.Tenant, d.e.Day, catalog.Add{Writer: d.writer, Generation: complete})
		if err == nil {
			d.complete = true
			d.count.day(false)
		}
		return err
	})
}

// each calls part for each part of the day, with a stream at its beginning, and then done, unless the day has no samples.
func (d *dayJob) each(ctx context.Context, part func(generation uint64, s *stream) error, done func() error) error {
	s := newStream(d.series(ctx), d.pass)
	defer s.stop()
	generation := uint64(0)
	for ; s.ok; generation++ {
		if err := part(generation, s); err != nil {
			return err
		}
		d.job.progress()
	}
	if s.err != nil || generation == 0 {
		return s.err
	}
	return done()
}

// pass counts samples as progress, the first time that they are met.
func (d *dayJob) pass(samples int64) {
	if d.counted {
		return
	}
	d.count.passed(samples)
	const often = 500_000
	if d.unshown += samples; d.unshown >= often {
		d.unshown = 0
		d.job.progress()
	}
}

func (d *dayJob) limits() limits {
	return limits{samples: d.cfg.PartSamples, series: d.cfg.PartSeries, labelBytes: d.cfg.PartLabelBytes}
}

// dryRound counts the day, and builds its first part if nothing was built yet.
func (d *dayJob) dryRound(ctx context.Context) error {
	if e := d.e.Estimate; e != nil {
		d.pass(e.Samples)
		d.count.estimate(e, d.rangeOf(d.e.Day), d.limits())
		return nil
	}
	return d.each(ctx, func(generation uint64, s *stream) error {
		m := &blocks.Meta{}
		var err error
		if generation == 0 && d.count.needsBuilt() {
			m, err = blocks.Build(ctx, d.params(0, 0), s.part(d.limits()), io.Discard)
		} else {
			err = s.count(d.limits(), m)
		}
		if err == nil {
			d.count.part(m, s.rows)
		}
		return err
	}, func() error {
		d.count.day(false)
		return nil
	})
}

// series are those of the day as they become part of blocks, in their order. Columns are used again.
func (d *dayJob) series(ctx context.Context) iter.Seq2[blocks.BuildSeries, error] {
	in := d.src.Series(ctx, d.rangeOf(d.e.Day), d.want)
	if len(d.cfg.Relabel) > 0 {
		in = d.relabelled(ctx, in)
	}
	return func(yield func(blocks.BuildSeries, error) bool) {
		c := &model.Columns{}
		for s, err := range in {
			if err == nil {
				c.Reset()
				err = s.Samples(c, d.rangeOf(d.e.Day))
			}
			if err != nil {
				yield(blocks.BuildSeries{}, err)
				return
			}
			if c.Len() == 0 {
				continue
			}
			if why := judge(s.Labels(), c); why != nil {
				err := d.skips.Add(Skip{Kind: "series", Where: fmt.Sprintf("%.300s", s.Labels()), Samples: int64(c.Len()), Reason: why.Error()})
				if err != nil {
					yield(blocks.BuildSeries{}, err)
					return
				}
				continue
			}
			if !yield(blocks.BuildSeries{Labels: s.Labels(), Columns: c}, nil) {
				return
			}
		}
	}
}
