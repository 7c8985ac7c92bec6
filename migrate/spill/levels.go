package spill

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/varvedb/varve/model"
)

// maxSiblings runs of one level become one of the next: each is an open file, and takes about 150 KiB for each day that is read.
const maxSiblings = 64

// addRun adds a run, and merges the last ones when there are too many of their level. They stay in the order in which they came.
func (s *Sorter) addRun(r *run) error {
	s.runs = append(s.runs, r)
	for {
		level, first := s.runs[len(s.runs)-1].level, len(s.runs)
		for first > 0 && s.runs[first-1].level == level {
			first--
		}
		if len(s.runs)-first < s.siblings {
			return nil
		}
		if err := s.mergeRuns(first, level+1); err != nil {
			return fmt.Errorf("sort: merge %d runs: %w", len(s.runs)-first, err)
		}
	}
}

// mergeRuns makes one of the runs from the first on.
func (s *Sorter) mergeRuns(first, level int) error {
	old := s.runs[first:]
	w, err := s.newRunWriter(level)
	if err != nil {
		return err
	}
	merged, err := w.done(s.merge(w, old))
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range old {
		errs = append(errs, r.remove())
	}
	s.runs = append(s.runs[:first], merged)
	return errors.Join(errs...)
}

// merge writes what is in the runs, day by day.
func (s *Sorter) merge(w *runWriter, runs []*run) error {
	seen := map[model.Day]bool{}
	var days []model.Day
	for _, r := range runs {
		for d := range r.days {
			if !seen[d] {
				seen[d] = true
				days = append(days, d)
			}
		}
	}
	slices.Sort(days)
	c := &model.Columns{}
	for _, day := range days {
		for series, err := range merged(s.stopped, sections(runs, day), s.wins) {
			if err != nil {
				return err
			}
			c.Reset()
			if err := series.Samples(c, day.Range()); err != nil {
				return err
			}
			if err := w.add(series.Labels(), c, 0, c.Len()); err != nil {
				return err
			}
		}
		if err := w.end(day); err != nil {
			return err
		}
	}
	return nil
}

// stopped is what Stop says.
func (s *Sorter) stopped() error {
	if s.Stop == nil {
		return nil
	}
	return s.Stop()
}

// sections are those of a day.
func sections(runs []*run, day model.Day) []iter.Seq2[model.Series, error] {
	var out []iter.Seq2[model.Series, error]
	for _, r := range runs {
		if at, ok := r.days[day]; ok {
			out = append(out, r.read(at))
		}
	}
	return out
}
