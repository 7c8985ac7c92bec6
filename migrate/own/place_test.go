package own_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/model"
)

// place is a tenant of a bucket, and what a query would see of it.
type place struct {
	*migratetest.World
	generation uint64
	want       map[string]string
	series     []labels.Labels
}

func newPlace(t *testing.T) *place {
	p := &place{World: migratetest.New(t), want: map[string]string{}}
	b := labels.NewScratchBuilder(4)
	for i := range 12 {
		ls := labels.FromStrings("__name__", fmt.Sprintf("m%d", i%4), "Zone", fmt.Sprint(i%2), "i", fmt.Sprint(i))
		b.Reset()
		model.ExemplarSeries(&b, ls)
		b.Sort()
		p.series = append(p.series, ls, b.Labels())
	}
	p.series = append(p.series, labels.FromStrings("job", "no name"), model.MetadataSeries("m1"), model.MetadataSeries("m2"))
	slices.SortFunc(p.series, func(a, b labels.Labels) int {
		return index.Compare(a, b)
	})
	return p
}

// sample is one of the series at the time.
func (p *place) sample(c *model.Columns, ls labels.Labels, t int64) {
	v := float64(p.Rand.IntN(1000)) / 10
	switch _, metadata := model.MetadataOf(ls); {
	case metadata:
		c.AppendHistogram(t, model.AppendMetadata(nil, 1, "s", fmt.Sprint(v)))
	case model.Reserved(ls):
		c.AppendHistogram(t, model.AppendText(model.AppendText(model.AppendExemplar(model.BeginExemplars(nil), v, 1), "id"), fmt.Sprint(v)))
	case p.Rand.IntN(10) == 0:
		h := prompb.Histogram{Timestamp: t, Sum: v, Count: &prompb.Histogram_CountInt{CountInt: 3}}
		b, err := h.Marshal()
		require.NoError(p.T, err)
		c.AppendHistogram(t, b)
	case p.Rand.IntN(10) == 0:
		c.AppendHistogram(t, model.FloatWithStart(t-1000, v))
	default:
		c.Append(t, v)
	}
}

// flush adds a block of some samples of the day.
func (p *place) flush(day model.Day) *blocks.Meta {
	p.generation++
	series := func(yield func(blocks.BuildSeries, error) bool) {
		for _, ls := range p.series {
			c := &model.Columns{}
			for t := day.Range().MinMs; t < day.Range().MaxMs; t += 3_600_000 {
				if p.Rand.IntN(3) > 0 {
					p.sample(c, ls, t+int64(p.Rand.IntN(2)))
				}
			}
			if c.Len() == 0 {
				continue
			}
			migratetest.Put(p.want, ls, c)
			if !yield(blocks.BuildSeries{Labels: ls, Columns: c}, nil) {
				return
			}
		}
	}
	var out bytes.Buffer
	ctx := context.Background()
	m, err := blocks.Build(ctx, &blocks.Params{Tenant: "t", Day: day, Writer: "w", Generation: p.generation, CreatedMs: p.NowMs}, series, &out)
	require.NoError(p.T, err)
	_, err = p.Own.PutIfAbsent(ctx, blocks.Key(m), out.Bytes())
	require.NoError(p.T, err)
	_, err = p.Catalog.Commit(ctx, "t", day, catalog.Add{Writer: "w", Generation: p.generation, Meta: m})
	require.NoError(p.T, err)
	return m
}

// remove deletes what one series has of the first half of the day.
func (p *place) remove(day model.Day) {
	ls := p.series[p.Rand.IntN(len(p.series))]
	if model.Reserved(ls) {
		return
	}
	var matchers []*labels.Matcher
	ls.Range(func(l labels.Label) {
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value))
	})
	r := day.Range()
	r.MaxMs = r.MinMs + model.MsPerDay/2
	_, err := p.Catalog.Commit(context.Background(), "t", day, catalog.AddTombstone{
		ID: fmt.Sprintf("x%d", p.NowMs), CreatedMs: p.NowMs, Range: r, Matchers: catalog.FormatSelectors([][]*labels.Matcher{matchers}),
	})
	require.NoError(p.T, err)
	b := labels.NewScratchBuilder(4)
	model.ExemplarSeries(&b, ls)
	b.Sort()
	for _, of := range []labels.Labels{ls, b.Labels()} {
		for t := r.MinMs; t <= r.MaxMs; t += 3_600_000 {
			delete(p.want, fmt.Sprintf("%s %d", of, t))
			if t < r.MaxMs {
				delete(p.want, fmt.Sprintf("%s %d", of, t+1))
			}
		}
	}
}

// worker does what is due.
func (p *place) worker(c *lifecycle.Config) *lifecycle.Lifecycle {
	c.Sequential, c.Compact.Settle = true, -time.Second
	l, err := lifecycle.New(c, lifecycle.Components{Bucket: p.Own, Catalog: p.Catalog, Now: p.Now, Sleep: p.Sleep})
	require.NoError(p.T, err)
	return l
}

func (p *place) compact() {
	p.NowMs += 2 * 3_600_000
	_, err := p.worker(&lifecycle.Config{}).Once(context.Background())
	require.NoError(p.T, err)
}

// years are some days of blocks of both formats and deletes, the last of them hot.
func (p *place) years() {
	for d := range model.Day(3) {
		day := migratetest.FirstDay + d
		for range 3 + p.Rand.IntN(3) {
			p.flush(day)
			if p.Rand.IntN(2) == 0 {
				p.remove(day)
			}
		}
		if d < 2 {
			p.compact()
			p.flush(day)
			p.remove(day)
		}
	}
}

func all(labels.Labels) bool { return true }

func everything() model.TimeRange {
	return model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}
}

func (p *place) open(o *own.Options, skips *migrate.Skips) *own.Source {
	o.TempDir = p.T.TempDir()
	s, err := own.Open(p.Own, p.Catalog, "t", skips, o)
	require.NoError(p.T, err)
	p.T.Cleanup(func() { require.NoError(p.T, s.Close()) })
	return s
}

// read is everything that the source has, which must come in order.
func read(s *own.Source, r model.TimeRange, want migrate.Want) (map[string]string, []migrate.Extent, error) {
	out := map[string]string{}
	days, err := s.Days(context.Background(), r, want)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range days {
		var last labels.Labels
		begun := false
		for series, err := range s.Series(context.Background(), r.Intersect(e.Day.Range()), want) {
			if err != nil {
				return nil, nil, err
			}
			if begun && !index.Less(last, series.Labels()) {
				return nil, nil, fmt.Errorf("%s behind %s", series.Labels(), last)
			}
			last, begun = series.Labels(), true
			c := &model.Columns{}
			if err := series.Samples(c, r.Intersect(e.Day.Range())); err != nil {
				return nil, nil, err
			}
			migratetest.Put(out, series.Labels(), c)
		}
	}
	return out, days, nil
}
