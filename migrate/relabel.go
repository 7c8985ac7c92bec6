package migrate

import (
	"context"
	"iter"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// relabelled are the series under their new labels, sorted anew. Where two become one, the samples of the later one win.
func (d *dayJob) relabelled(ctx context.Context, in iter.Seq2[model.Series, error]) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		s := spill.New(d.cfg.TempDir, d.cfg.SortBytes/int64(d.cfg.Parallel), spill.LastWins)
		s.Stop = ctx.Err
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
		ls, keep := d.relabel(b, series.Labels())
		if !keep {
			if !d.counted && !model.Reserved(series.Labels()) {
				d.count.dropped()
			}
			continue
		}
		c.Reset()
		if err := series.Samples(&c, d.rangeOf(d.e.Day)); err != nil {
			return err
		}
		if err := s.AddColumns(ls, &c); err != nil {
			return err
		}
	}
	return s.Finish()
}

// relabel are the new labels of a series. Exemplars go where their series go. Of what is said of a metric only the name is known, so that rules
// that look at the name alone decide over it, and no others.
func (d *dayJob) relabel(b *labels.Builder, ls labels.Labels) (labels.Labels, bool) {
	if !model.Reserved(ls) {
		b.Reset(ls)
		keep := relabel.ProcessBuilder(b, d.cfg.Relabel...)
		return b.Labels(), keep
	}
	if metric, ok := model.MetadataOf(ls); ok {
		b.Reset(labels.FromStrings(commonmodel.MetricNameLabel, metric))
		keep := relabel.ProcessBuilder(b, ofNames(d.cfg.Relabel)...)
		metric = b.Get(commonmodel.MetricNameLabel)
		return model.MetadataSeries(metric), keep && metric != ""
	}
	of, ok := model.ExemplarsOf(ls)
	if !ok {
		return ls, true // to be refused
	}
	b.Reset(of)
	if !relabel.ProcessBuilder(b, d.cfg.Relabel...) {
		return ls, false
	}
	scratch := labels.NewScratchBuilder(ls.Len())
	model.ExemplarSeries(&scratch, b.Labels())
	scratch.Sort()
	return scratch.Labels(), true
}

// ofNames are the rules that look at metric names, and change or drop those, and nothing else.
func ofNames(rules []*relabel.Config) (out []*relabel.Config) {
	for _, r := range rules {
		looks := len(r.SourceLabels) == 1 && r.SourceLabels[0] == commonmodel.MetricNameLabel
		decides := r.Action == relabel.Keep || r.Action == relabel.Drop || r.TargetLabel == commonmodel.MetricNameLabel
		if looks && decides {
			out = append(out, r)
		}
	}
	return out
}
