package migrate

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// Selection is what a job takes over of a source, for those who compare it with what is in the bucket: the range, matchers, relabelling and checks of Run are
// applied. It writes nothing. Safe for concurrent use after Days.
type Selection struct{ j *job }

// Select returns what a job with these settings would take of the source; what it would leave out goes to skips, those that src was made with. src stays the caller's.
func Select(cfg *Config, now func() time.Time, src Source, skips *Skips) (*Selection, error) {
	j := &job{cfg: *cfg, c: Components{Now: now}, src: src, skips: skips, want: wanted(cfg.Matchers)}
	if err := j.cfg.fill(); err != nil {
		return nil, fmt.Errorf("select: %w", err)
	}
	return &Selection{j}, nil
}

// Days are the days that a job would take over. Like that of the source it is called once, before Series.
func (s *Selection) Days(ctx context.Context) ([]Extent, error) {
	days, err := s.j.src.Days(ctx, *s.j.cfg.Range, s.j.want)
	if err != nil {
		return nil, err
	}
	return s.j.plausible(days)
}

// Range is what the job takes of all time.
func (s *Selection) Range() model.TimeRange { return *s.j.cfg.Range }

// Series are those that would become blocks of the day, in the order of index.Less, each with one sample at least. Columns are used again for the next series.
func (s *Selection) Series(ctx context.Context, e Extent) iter.Seq2[blocks.BuildSeries, error] {
	d := s.j.newDay(e)
	if f, ok := d.src.(Fetcher); ok {
		return d.fetchedSeries(ctx, f)
	}
	return d.series(ctx)
}
