package verify

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// TestLimited: what the bucket has before and behind the range of the job, and of other series, makes no other answer.
func TestLimited(t *testing.T) {
	s := newSide()
	for i := int64(0); i < 100; i++ {
		s.of("__name__", "up", "job", "a").c.Append(at(60*i), float64(i))
		s.of("__name__", "up", "job", "b").c.Append(at(60*i), 1)
	}
	a := asker(t, s, 0)
	all := a.Queryable
	ask := func(cfg *migrate.Config, query string, seconds int64) []AnswerSeries {
		a.Queryable = Limited(all, cfg)
		got, err := a.Ask(context.Background(), Question{Query: query, End: time.UnixMilli(at(seconds))})
		require.NoError(t, err)
		return got.Series
	}
	value := func(v float64, seconds int64) []AnswerSeries {
		return []AnswerSeries{{Labels: labels.EmptyLabels(), Points: []Point{{T: at(seconds), V: v}}}}
	}
	cfg := &migrate.Config{Range: &model.TimeRange{MinMs: at(1200), MaxMs: at(1800)}}
	require.Equal(t, value(20, 1800), ask(&migrate.Config{}, "sum(count_over_time(up[10m]))", 1800))
	require.Equal(t, value(6, 1320), ask(cfg, "sum(count_over_time(up[10m]))", 1320))
	require.Equal(t, value(31, 1860), ask(cfg, "sum(up)", 1860))
	require.Empty(t, ask(cfg, "up", 600))
	require.Empty(t, ask(cfg, "sum(up offset 1h)", 1800))
	cfg.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "job", "b")}
	require.Equal(t, value(1, 1320), ask(cfg, "sum(up)", 1320))
	cfg.Relabel = []*relabel.Config{{}}
	require.Equal(t, value(23, 1320), ask(cfg, "sum(up)", 1320))
}
