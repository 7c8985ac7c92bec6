package verify

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// exemplars appends a row of exemplars without labels.
func (p *plain) exemplars(t int64, values ...float64) {
	row := model.BeginExemplars(nil)
	for _, v := range values {
		row = model.AppendExemplar(row, v, 0)
	}
	p.c.AppendHistogram(t, row)
}

// TestRows: exemplars and metadata that the bucket lacks are counted, and are no difference; what it has more is neither.
func TestRows(t *testing.T) {
	var b labels.ScratchBuilder
	model.ExemplarSeries(&b, labels.FromStrings("__name__", "up", "job", "a"))
	b.Sort()
	of := b.Labels()
	source := newSide()
	source.of("__name__", "up", "job", "a").c.Append(at(60), 1)
	target := source.clone()
	e := &plain{ls: of.Copy()}
	e.exemplars(at(10), 1, 2)
	e.exemplars(at(20), 3)
	e.exemplars(at(30), 4)
	source.series = append(source.series, e)
	for _, metric := range []string{"up", "down"} {
		m := &plain{ls: model.MetadataSeries(metric)}
		m.c.AppendHistogram(at(60), model.AppendMetadata(nil, 1, "", "x"))
		source.series = append(source.series, m)
		if metric == "up" {
			target.series = append(target.series, m)
		}
	}
	there := &plain{ls: of.Copy()}
	there.exemplars(at(10), 2, 9)
	there.exemplars(at(15), 1)
	there.exemplars(at(30), 4)
	target.series = append(target.series, there)

	counts := func(source, target *side) []int64 {
		r := mustCompare(t, &Config{Exact: true}, source, target)
		require.True(t, r.Equal, "%+v", r)
		require.Equal(t, []int64{1, 1, 1, 1}, []int64{r.Total.SourceSeries, r.Total.TargetSeries, r.Total.SourceSamples, r.Total.TargetSamples})
		return []int64{r.Total.SourceExemplars, r.Total.MissingExemplars, r.Total.SourceMetadata, r.Total.MissingMetadata}
	}
	require.Equal(t, []int64{4, 2, 2, 1}, counts(source, target))
	require.Equal(t, []int64{4, 2, 1, 0}, counts(target, source))
	require.Equal(t, []int64{4, 0, 2, 0}, counts(source, source))
	target.series = target.series[:1]
	require.Equal(t, []int64{4, 4, 2, 2}, counts(source, target))
	require.Equal(t, []int64{0, 0, 0, 0}, counts(target, source))
}
