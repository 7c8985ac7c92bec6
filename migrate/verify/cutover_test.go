package verify

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// The source of these tests ends ten minutes after midnight, and the present is two hours later.
const (
	endOfSource = 86_400 + 600
	present     = endOfSource + 7200
)

// oldWorld is a source with series at 15 s, at 60 s, one that ended before, and one of a rule.
func oldWorld() *side {
	s := newSide()
	for t := int64(endOfSource - 4000); t <= endOfSource; t += 5 {
		if t%15 == 0 {
			s.of("__name__", "fast").c.Append(at(t), float64(t))
			s.of("__name__", "other").c.Append(at(t), float64(t))
			s.of("__name__", "job:fast:sum").c.Append(at(t), 1)
		}
		if t%60 == 0 {
			s.of("__name__", "slow").c.Append(at(t), 1)
		}
		if t%15 == 0 && t < endOfSource-1000 {
			s.of("__name__", "quiet").c.Append(at(t), 1)
		}
	}
	p := s.of("__name__", "ended")
	p.c.Append(at(endOfSource-100), 1)
	p.c.Append(at(endOfSource-50), math.Float64frombits(value.StaleNaN))
	return s
}

// newWorld is the bucket with all of that, and the live path until now.
func liveWorld() *side {
	s := oldWorld()
	for t := int64(endOfSource + 5); t <= present; t += 5 {
		if t%15 == 0 {
			s.of("__name__", "fast").c.Append(at(t), float64(t))
			s.of("__name__", "other").c.Append(at(t), float64(t))
			s.of("__name__", "job:fast:sum").c.Append(at(t), 1)
		}
		if t%60 == 0 {
			s.of("__name__", "slow").c.Append(at(t), 1)
		}
	}
	return s
}

func cutOver(t *testing.T, cfg *CutoverConfig, source, live migrate.Source, liveSkips *migrate.Skips) (*CutoverReport, error) {
	t.Helper()
	cfg.Job.Tenant = "t"
	if liveSkips == nil {
		liveSkips = migrate.NewSkips(false)
	}
	return Cutover(context.Background(), cfg, CutoverComponents{
		Components: Components{Source: source, Skips: migrate.NewSkips(false), Target: live, TargetSkips: migrate.NewSkips(false), Now: func() time.Time { return time.UnixMilli(at(present)) }},
		Live:       live, LiveSkips: liveSkips,
	})
}

func TestReady(t *testing.T) {
	for _, skip := range []bool{false, true} {
		r, err := cutOver(t, &CutoverConfig{SkipVerify: skip}, oldWorld(), liveWorld(), nil)
		require.NoError(t, err)
		require.True(t, r.Ready, "%+v", r)
		require.Equal(t, []int64{4, 4, 1, at(endOfSource), at(present), 60_000}, []int64{r.Expected, r.Covered, r.OfRules, r.EndMs, r.NowMs, r.LongestHandoverMs})
		require.Equal(t, skip, r.History == nil)
		require.Empty(t, r.Problems)
	}
}

// cut removes samples of a series in a stretch of time, ends excluded.
func (s *side) cut(name string, from, to int64) {
	p := s.of("__name__", name)
	for i := p.c.Len() - 1; i >= 0; i-- {
		if p.c.T[i] > at(from) && p.c.T[i] < at(to) {
			p.drop(i)
		}
	}
}

// TestNotReady plants what may be wrong with the live path.
func TestNotReady(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(s *side)
		want  Problem
	}{
		"missing":      {func(s *side) { s.cut("fast", endOfSource, present+1) }, Problem{Kind: MissingLive, SourceLastMs: at(endOfSource), SourceIntervalMs: 15_000}},
		"silent":       {func(s *side) { s.cut("fast", present-600, present+1) }, Problem{Kind: Silent, SourceLastMs: at(endOfSource), FirstMs: at(endOfSource + 15), LastMs: at(present - 600), SourceIntervalMs: 15_000, IntervalMs: 15_000}},
		"handover gap": {func(s *side) { s.cut("fast", endOfSource, endOfSource+600) }, Problem{Kind: HandoverGap, SourceLastMs: at(endOfSource), FirstMs: at(endOfSource + 600), LastMs: at(present), SourceIntervalMs: 15_000, IntervalMs: 15_000, GapMs: 600_000}},
		"gap": {
			func(s *side) {
				s.cut("fast", endOfSource+600, endOfSource+900)
				s.cut("fast", endOfSource+3000, endOfSource+3600)
			},
			Problem{Kind: LiveGap, SourceLastMs: at(endOfSource), FirstMs: at(endOfSource + 15), LastMs: at(present), SourceIntervalMs: 15_000, IntervalMs: 15_000, GapMs: 600_000, GapAtMs: at(endOfSource + 3000), Gaps: 2},
		},
		"slower": {
			func(s *side) {
				p := s.of("__name__", "fast")
				for i := p.c.Len() - 1; p.c.T[i] > at(endOfSource); i-- {
					if p.c.T[i]%60_000 != 0 {
						p.drop(i)
					}
				}
			},
			Problem{Kind: Slower, SourceLastMs: at(endOfSource), FirstMs: at(endOfSource + 60), LastMs: at(present), SourceIntervalMs: 15_000, IntervalMs: 60_000},
		},
	} {
		t.Run(name, func(t *testing.T) {
			live := liveWorld()
			c.plant(live)
			r, err := cutOver(t, &CutoverConfig{}, oldWorld(), live, nil)
			require.NoError(t, err)
			require.False(t, r.Ready)
			require.Len(t, r.Reasons, 1)
			c.want.Series = `{__name__="fast"}`
			require.Equal(t, []Problem{c.want}, r.Problems)
			require.Equal(t, map[ProblemKind]int64{c.want.Kind: 1}, r.Wrong)
			require.Equal(t, int64(3), r.Covered)
		})
	}
}

// TestEndedSince: a series that ended with a stale marker is well, and may begin again later.
func TestEndedSince(t *testing.T) {
	live := liveWorld()
	live.cut("fast", present-3600, present+1)
	p := live.of("__name__", "fast")
	p.c.Append(at(present-3590), math.Float64frombits(value.StaleNaN))
	r, err := cutOver(t, &CutoverConfig{}, oldWorld(), live, nil)
	require.NoError(t, err)
	require.True(t, r.Ready, "%+v", r)
	require.Equal(t, int64(1), r.EndedSince)
	p.c.Append(at(present-15), 1)
	p.c.Append(at(present), 1)
	r, err = cutOver(t, &CutoverConfig{}, oldWorld(), live, nil)
	require.NoError(t, err)
	require.True(t, r.Ready, "%+v", r)
}

// TestCutoverHistory: what is wrong with the history is a reason, and so is what cannot be seen, if something is missing.
func TestCutoverHistory(t *testing.T) {
	live := liveWorld()
	live.of("__name__", "other").drop(3)
	r, err := cutOver(t, &CutoverConfig{}, oldWorld(), live, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"the history in the bucket is not that of the source"}, r.Reasons)

	r, err = cutOver(t, &CutoverConfig{}, oldWorld(), oldWorld(), skipsOf(t, migrate.Skip{Kind: "log", Where: "writer w", Reason: "it does not ship its log"}))
	require.NoError(t, err)
	require.Equal(t, []string{"of 4 series the live path has nothing since the end of the source", "not all of the live path could be seen: ask the server (--url)"}, r.Reasons)

	r, err = cutOver(t, &CutoverConfig{SinceMs: at(endOfSource - 40_000), SkipVerify: true}, oldWorld(), liveWorld(), nil)
	require.NoError(t, err)
	require.False(t, r.Ready, "nothing was alive")
	require.Contains(t, r.Reasons[0], "no series of the source was alive")

	_, err = cutOver(t, &CutoverConfig{SkipVerify: true}, newSide(), liveWorld(), nil)
	require.ErrorIs(t, err, model.ErrNotFound)
}

func skipsOf(t *testing.T, s migrate.Skip) *migrate.Skips {
	k := migrate.NewSkips(false)
	require.NoError(t, k.Add(s))
	return k
}

// TestNotDue: right after the end of the source nothing can be said.
func TestNotDue(t *testing.T) {
	c := Components{Source: oldWorld(), Skips: migrate.NewSkips(false), Target: oldWorld(), TargetSkips: migrate.NewSkips(false), Now: func() time.Time { return time.UnixMilli(at(endOfSource + 20)) }}
	cfg := &CutoverConfig{}
	cfg.Job.Tenant = "t"
	r, err := Cutover(context.Background(), cfg, CutoverComponents{Components: c, Live: oldWorld(), LiveSkips: migrate.NewSkips(false)})
	require.NoError(t, err)
	require.False(t, r.Ready)
	require.Equal(t, int64(4), r.NotDue)
}

// TestCutoverFailures ends each side at each of its series: never is that ready.
func TestCutoverFailures(t *testing.T) {
	dead := errors.New("the line is dead")
	for n := range 5 {
		for which := range 2 {
			source, live := oldWorld(), liveWorld()
			side := []*side{source, live}[which]
			side.failAt, side.err = n, dead
			for _, skip := range []bool{false, true} {
				r, err := cutOver(t, &CutoverConfig{SkipVerify: skip}, source, live, nil)
				require.ErrorIs(t, err, dead)
				require.False(t, r.Ready)
			}
		}
	}
}

// fetched is a side that has nothing before it is fetched, as a server.
type fetched struct {
	*side
	days []model.Day // that are fetched
}

func (f *fetched) Fetch(_ context.Context, r model.TimeRange, _ migrate.Want, _ func(samples, ms int64)) (string, int64, error) {
	f.days = append(f.days, model.DayOf(r.MinMs))
	return "x", 1, nil
}

func (f *fetched) Release(day model.Day) error {
	f.days = slices.DeleteFunc(f.days, func(d model.Day) bool { return d == day })
	return nil
}

// TestServers: both sides may be servers, of which days are fetched and let go of.
func TestServers(t *testing.T) {
	source, live := &fetched{side: oldWorld()}, &fetched{side: liveWorld()}
	cfg := &CutoverConfig{}
	cfg.Job.Tenant = "t"
	r, err := Cutover(context.Background(), cfg, CutoverComponents{
		Components: Components{Source: source, Skips: migrate.NewSkips(false), Target: liveWorld(), TargetSkips: migrate.NewSkips(false), Now: func() time.Time { return time.UnixMilli(at(present)) }},
		Live:       live, LiveSkips: migrate.NewSkips(false),
	})
	require.NoError(t, err)
	require.True(t, r.Ready, "%+v", r)
	require.Empty(t, source.days)
	require.Empty(t, live.days)
}

func TestKeys(t *testing.T) {
	var k keyer
	a := k.of(labels.FromStrings("a", "1"))
	require.Equal(t, a, k.of(labels.FromStrings("a", "1")))
	require.NotEqual(t, a, k.of(labels.FromStrings("a", "2")))
	require.NotEqual(t, a[0], a[1])
}
