package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// Config says what is compared.
type Config struct {
	// Job is the backfill whose result is looked at: the same range, matchers and relabelling.
	Job migrate.Config
	// Tolerance is by how much floats may differ, relative to the larger one. 0 compares bits.
	Tolerance float64
	// Exact makes what the bucket has more a difference.
	Exact bool
	// MaxNamed differences are named; the rest is counted. Default 100.
	MaxNamed int
}

// Components are the two sides. They stay the caller's.
type Components struct {
	// Source was made with Skips.
	Source migrate.Source
	Skips  *migrate.Skips
	// Target is what the bucket has, and was made with TargetSkips.
	Target      migrate.Source
	TargetSkips *migrate.Skips
	Now         func() time.Time
	// Progress, if not nil, is called now and then, by one goroutine at a time.
	Progress func(migrate.Progress)
}

func (c *Config) fill() error {
	if c.MaxNamed <= 0 {
		c.MaxNamed = 100
	}
	if c.Job.Parallel <= 0 {
		c.Job.Parallel = 2
	}
	if !(c.Tolerance >= 0 && c.Tolerance < 1) {
		return fmt.Errorf("tolerance is %v, want 0 or more and less than 1: %w", c.Tolerance, model.ErrInvalid)
	}
	return nil
}

// comparison is one run.
type comparison struct {
	cfg   Config
	c     Components
	sel   *migrate.Selection
	tally tally
}

// Run compares the sides. The report is not nil once the comparison has begun; after an error it tells what was compared until then, and is not Complete.
func Run(ctx context.Context, cfg *Config, c Components) (*Report, error) {
	r := &comparison{cfg: *cfg, c: c}
	if err := r.cfg.fill(); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if r.c.Now == nil {
		r.c.Now = time.Now
	}
	var err error
	if r.sel, err = migrate.Select(&r.cfg.Job, r.c.Now, c.Source, c.Skips); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	r.tally.begin(r.c.Now(), r.cfg.MaxNamed, r.cfg.Exact)
	err = r.days(ctx)
	if err != nil {
		err = fmt.Errorf("verify: %w", err)
	}
	return r.tally.report(&c, err == nil), err
}

// wanted says which series of the target are looked at. Labels that relabelling has changed cannot be told by matchers for those of the source.
func (r *comparison) wanted(ls labels.Labels) bool {
	if model.Reserved(ls) || len(r.cfg.Job.Relabel) > 0 {
		return true
	}
	return matches(ls, r.cfg.Job.Matchers)
}

func matches(ls labels.Labels, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// days compares day by day.
func (r *comparison) days(ctx context.Context) error {
	source, err := r.sel.Days(ctx)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	target, err := r.c.Target.Days(ctx, r.sel.Range(), r.wanted)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	all := pairs(source, target)
	r.tally.expect(source)
	r.progress()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.cfg.Job.Parallel)
	for _, p := range all {
		if p.source == nil && !r.cfg.Exact {
			r.tally.extraDay(p.target)
			continue
		}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			d := r.newDay(p)
			if err := d.run(ctx); err != nil {
				return fmt.Errorf("day %s: %w", p.day.Dashed(), err)
			}
			r.tally.day(d)
			r.progress()
			return nil
		})
	}
	return group.Wait()
}

// pair is a day and what the sides say that they have of it, nil for nothing.
type pair struct {
	day            model.Day
	source, target *migrate.Extent
}

// pairs puts the days of both sides together, ascending.
func pairs(source, target []migrate.Extent) []pair {
	var out []pair
	for len(source) > 0 || len(target) > 0 {
		var p pair
		switch {
		case len(target) == 0 || len(source) > 0 && source[0].Day < target[0].Day:
			p.day = source[0].Day
		default:
			p.day = target[0].Day
		}
		if len(source) > 0 && source[0].Day == p.day {
			p.source, source = &source[0], source[1:]
		}
		if len(target) > 0 && target[0].Day == p.day {
			p.target, target = &target[0], target[1:]
		}
		out = append(out, p)
	}
	return out
}

func (r *comparison) progress() {
	if r.c.Progress != nil {
		r.tally.progress(r.c.Now(), r.c.Progress)
	}
}
