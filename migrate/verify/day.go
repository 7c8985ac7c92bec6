package verify

import (
	"context"
	"fmt"
	"iter"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

// day compares one day. For one goroutine.
type day struct {
	*comparison
	pair
	rng    model.TimeRange
	counts Counts
	// minMs and maxMs are the first and last sample of the source.
	minMs, maxMs int64
	diff         differ
	columns      model.Columns // of the target's series
	// sourceLast and targetLast are the labels of the series before: an order that is broken would make a join say nonsense.
	sourceLast, targetLast labels.Labels
	unseen                 int64 // samples of the source that progress was not yet told of
	twins                  twins
}

func (r *comparison) newDay(p pair) *day {
	d := &day{comparison: r, pair: p, rng: r.sel.Range().Intersect(p.day.Range())}
	d.diff = differ{day: p.day, tolerance: r.cfg.Tolerance, maxNamed: r.cfg.MaxNamed, counts: &d.counts}
	d.twins = twins{bound: r.cfg.MaxNamed}
	return d
}

// run joins the series of both sides.
func (d *day) run(ctx context.Context) error {
	source, stopSource := iter.Pull2(d.sourceSeries(ctx))
	defer stopSource()
	target, stopTarget := iter.Pull2(d.targetSeries(ctx))
	defer stopTarget()
	a, err, okA := source()
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	b, err, okB := target()
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	for okA || okB {
		order := 0
		if okA && okB {
			order = index.Compare(a.Labels, b.Labels())
		}
		takeA := okA && (!okB || order <= 0)
		takeB := okB && (!okA || order >= 0)
		if err := d.series(a, b, takeA, takeB); err != nil {
			return err
		}
		if takeA {
			if a, err, okA = source(); err != nil {
				return fmt.Errorf("source: %w", err)
			}
		}
		if takeB {
			if b, err, okB = target(); err != nil {
				return fmt.Errorf("target: %w", err)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	d.twins.hint(d.diff.named)
	d.seen(true)
	return nil
}

// series compares one series, which one of the sides may lack.
func (d *day) series(a blocks.BuildSeries, b model.Series, inSource, inTarget bool) error {
	d.columns.Reset()
	if inTarget {
		if err := b.Samples(&d.columns, d.rng); err != nil {
			return fmt.Errorf("target: series %.300s: %w", b.Labels(), err)
		}
		inTarget = d.columns.Len() > 0 // the index may know a series that has nothing in the range
	}
	if inSource && model.Reserved(a.Labels) {
		return d.rows(a.Labels, a.Columns, &d.columns)
	}
	if inTarget && model.Reserved(b.Labels()) {
		return nil
	}
	d.countTarget()
	switch {
	case inSource && inTarget:
		d.countSource(a.Columns)
		d.diff.columns(a.Labels, a.Columns, &d.columns)
	case inSource:
		d.countSource(a.Columns)
		d.twins.missing(d.diff.lacking(MissingSeries, a.Labels, a.Columns), a.Labels, a.Columns)
		d.counts.MissingSeries++
		d.counts.MissingSamples += int64(a.Columns.Len())
	case inTarget:
		d.twins.extra(d.diff.lacking(ExtraSeries, b.Labels(), &d.columns), b.Labels(), &d.columns)
		d.counts.ExtraSeries++
		d.counts.ExtraSamples += int64(d.columns.Len())
	}
	return nil
}

func (d *day) countSource(c *model.Columns) {
	first, last := c.T[0], c.T[c.Len()-1]
	if d.counts.SourceSeries == 0 {
		d.minMs, d.maxMs = first, last
	}
	d.minMs, d.maxMs = min(d.minMs, first), max(d.maxMs, last)
	d.counts.SourceSeries++
	d.counts.SourceSamples += int64(c.Len())
	d.counts.SourceHistograms += histograms(c)
	d.unseen += int64(c.Len())
	d.seen(false)
}

func (d *day) countTarget() {
	if d.columns.Len() == 0 {
		return
	}
	d.counts.TargetSeries++
	d.counts.TargetSamples += int64(d.columns.Len())
	d.counts.TargetHistograms += histograms(&d.columns)
}

// seen tells progress what was read, now and then.
func (d *day) seen(atOnce bool) {
	const enough = 1_000_000
	if d.unseen >= enough || atOnce {
		d.tally.passed(d.unseen)
		d.unseen = 0
		d.progress()
	}
}

// histograms counts those of the columns; a float with a start timestamp is none.
func histograms(c *model.Columns) int64 {
	n := int64(0)
	for _, h := range c.H {
		if h != nil && !model.IsFloatWithStart(h) {
			n++
		}
	}
	return n
}

// sourceSeries are those that the job would take, in order.
func (d *day) sourceSeries(ctx context.Context) iter.Seq2[blocks.BuildSeries, error] {
	return func(yield func(blocks.BuildSeries, error) bool) {
		if d.source == nil {
			return
		}
		for s, err := range d.sel.Series(ctx, *d.source) {
			if err == nil {
				err = follows(&d.sourceLast, s.Labels)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// targetSeries are those of the bucket that are looked at, in order.
func (d *day) targetSeries(ctx context.Context) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		if d.target == nil {
			return
		}
		for s, err := range d.c.Target.Series(ctx, d.rng, d.wanted) {
			if err == nil {
				if !d.wanted(s.Labels()) {
					continue
				}
				err = follows(&d.targetLast, s.Labels())
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// follows checks that a series comes after the one before.
func follows(last *labels.Labels, ls labels.Labels) error {
	if !last.IsEmpty() && !index.Less(*last, ls) {
		return fmt.Errorf("series %.300s after %.300s: not in order: %w", ls, *last, model.ErrCorrupt)
	}
	*last = ls
	return nil
}
