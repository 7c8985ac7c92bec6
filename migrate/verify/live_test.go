package verify

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// TestLostDay: a live path that took one sample of six for a while had gaps, though it is as fast as ever now.
func TestLostDay(t *testing.T) {
	const end = 86_400 - 900 // of the source, so that the day after is another one
	source, live := newSide(), newSide()
	for s := int64(end - 3600); s <= present; s += 15 {
		if s <= end {
			source.of("__name__", "a").c.Append(at(s), 1)
		}
		if s <= end+300 || s%90 == 0 || s > 86_400 {
			live.of("__name__", "a").c.Append(at(s), 1)
		}
	}
	r, err := cutOver(t, &CutoverConfig{}, source, live, nil)
	require.NoError(t, err)
	require.Equal(t, map[ProblemKind]int64{LiveGap: 1}, r.Wrong)
	require.Equal(t, int64(90_000), r.LongestGapMs)
}

// TestFewSamples: right behind midnight, or behind the end of the source, one lost scrape is no other interval, and neither is one that came twice.
func TestFewSamples(t *testing.T) {
	const midnight = 86_400
	times := func(seconds ...int64) *model.Columns {
		c := &model.Columns{}
		for _, s := range seconds {
			c.Append(at(s), 1)
		}
		return c
	}
	var before []int64
	for s := int64(midnight - 900); s < midnight; s += 15 {
		before = append(before, s)
	}
	for name, days := range map[string][2][]int64{ // of the source and of the live path, the day after
		"lost":          {nil, {midnight, midnight + 30}},
		"lost at first": {nil, {midnight + 15, midnight + 45, midnight + 60}},
		"twice":         {{midnight, midnight + 1}, {midnight, midnight + 1, midnight + 15, midnight + 30}},
	} {
		s := &state{}
		s.source(times(before...))
		end := int64(midnight - 15)
		if days[0] != nil {
			s.source(times(days[0]...))
			end = midnight + 1
		}
		s.live(times(before...), 3)
		s.live(times(days[1]...), 3)
		s.settle(at(end), at(midnight+60), 3)
		require.Empty(t, s.found, "%s: %+v", name, s)
		require.Equal(t, int64(15_000), s.sourceInterval, name)
	}
	s := &state{}
	s.source(times(before...))
	s.live(times(midnight, midnight+60, midnight+90, midnight+120, midnight+150), 4)
	s.settle(at(midnight-15), at(midnight+160), 4)
	require.Equal(t, Slower, s.found)
}

// TestEndedSeries: what had ended is told, and what all has ended is not ready.
func TestEndedSeries(t *testing.T) {
	source := oldWorld()
	p := source.of("__name__", "long ended")
	p.c.Append(at(endOfSource-2015), 1)
	p.c.Append(at(endOfSource-2000), math.Float64frombits(value.StaleNaN))
	bucket := liveWorld()
	bucket.series = append(bucket.series, p)
	r, err := cutOver(t, &CutoverConfig{}, source, bucket, nil)
	require.NoError(t, err)
	require.True(t, r.Ready)
	require.Equal(t, []int64{3, 1}, []int64{r.EndedAtSource, r.QuietAtSource})
	require.Contains(t, r.Notes[1], "1 series stopped at the source")

	live := liveWorld()
	for i, p := range live.series {
		p.c.Append(at(present), math.Float64frombits(value.StaleNaN))
		if i == 0 {
			r, err := cutOver(t, &CutoverConfig{}, oldWorld(), live, nil)
			require.NoError(t, err)
			require.True(t, r.Ready)
			require.Contains(t, r.Notes, "1 of 4 series have ended since, by stale markers: are their targets gone?")
		}
	}
	r, err = cutOver(t, &CutoverConfig{}, oldWorld(), live, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"all series that went on have ended since, by stale markers: nothing comes any more"}, r.Reasons)
}

// TestOtherBucket: a server that has the present and nothing of the history is not one on the bucket.
func TestOtherBucket(t *testing.T) {
	live := liveWorld()
	for _, p := range live.series {
		for p.c.Len() > 0 && p.c.T[0] <= at(endOfSource) {
			p.drop(0)
		}
	}
	r, err := cutOver(t, &CutoverConfig{SkipVerify: true}, oldWorld(), live, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"the live path has nothing of the 1h0m0s before the end of the source: is it a server on this bucket?"}, r.Reasons)
}

// TestSince: a source that goes on has more by now than was taken over, and what is behind --since is the live path's.
func TestSince(t *testing.T) {
	for _, skip := range []bool{false, true} {
		source, live := liveWorld(), liveWorld()
		live.of("__name__", "fast").drop(live.of("__name__", "fast").c.Len() - 1)
		r, err := cutOver(t, &CutoverConfig{SinceMs: at(endOfSource), SkipVerify: skip}, source, live, nil)
		require.NoError(t, err)
		require.True(t, r.Ready, "%+v", r)
		require.Equal(t, at(endOfSource), r.EndMs)
		require.Equal(t, int64(4), r.Expected)
		if !skip {
			require.Equal(t, at(endOfSource), r.History.MaxMs)
		}
	}
}

// TestStates: states stay where they are when more come.
func TestStates(t *testing.T) {
	var all states
	first := all.add(state{last: 7})
	p := all.at(first)
	for i := range int32(3 * statesPage) {
		require.Equal(t, i+1, all.add(state{last: int64(i)}))
	}
	require.Same(t, p, all.at(first))
	require.Equal(t, int64(statesPage), all.at(statesPage+1).last)
	require.Equal(t, 3*statesPage+1, all.n)
}
