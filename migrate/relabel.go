package migrate

import (
	"context"
	"iter"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// relabelled are the series under their new labels, sorted anew. Where two become one, the samples of the later one win.
func (d *dayJob) relabelled(ctx context.Context, in iter.Seq2[model.Series, error]) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		s := spill.New(d.cfg.TempDir, d.cfg.SortBytes/int64(d.cfg.Parallel), spill.LastWins)
		defer func() { _ = s.Close() }() // runs are rubbish once they were read
		if err := d.sortRelabelled(in, s); err != nil {
			yield(nil, err)
			return
		}
		for series, err := range s.Series(ctx, d.e.Day) {
			if !yield(series, err) {
				return
			}
		}
	}
}

func (d *dayJob) sortRelabelled(in iter.Seq2[model.Series, error], s *spill.Sorter) error {
	b := labels.NewBuilder(labels.EmptyLabels())
	var c model.Columns
	for series, err := range in {
		if err != nil {
			return err
		}
		b.Reset(series.Labels())
		if !relabel.ProcessBuilder(b, d.cfg.Relabel...) {
			if !d.counted {
				d.count.dropped()
			}
			continue
		}
		c.Reset()
		if err := series.Samples(&c, d.rangeOf(d.e.Day)); err != nil {
			return err
		}
		if err := s.AddColumns(b.Labels(), &c); err != nil {
			return err
		}
	}
	return s.Finish()
}
