package query

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPieces(t *testing.T) {
	g := grid{start: 2*hourMs - 30_000, end: 3*hourMs + 20_000, step: 15_000}
	require.Equal(t, []piece{
		{hourMs, 2*hourMs - 30_000, 2*hourMs - 15_000}, {2 * hourMs, 2 * hourMs, 3*hourMs - 15_000}, {3 * hourMs, 3 * hourMs, 3*hourMs + 15_000},
	}, g.pieces())
	g = grid{start: -90_000, end: 150_000, step: 60_000}
	require.Equal(t, []piece{{-dayMs, -90_000, -30_000}, {0, 30_000, 150_000}}, g.pieces())
	require.EqualValues(t, 30_000, g.phase())

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		g := grid{start: rng.Int64N(1e13) - 5e12, step: 1 + rng.Int64N(dayMs)}
		g.end = g.start + rng.Int64N(1+500*g.step)
		at := g.start
		for _, p := range g.pieces() {
			require.Equal(t, at, p.first)
			require.True(t, p.begin <= p.first && p.last < p.begin+g.span() && (p.last-p.first)%g.step == 0, "%+v of %+v", p, g)
			at = p.last + g.step
		}
		require.Equal(t, g.start+g.count()*g.step, at)
	}
}

func TestReach(t *testing.T) {
	p := NewParser()
	for expr, want := range map[string]reach{
		`m`:                                 {5*minuteMs - 1, 0},
		`rate(m[3m])`:                       {3*minuteMs - 1, 0},
		`m offset 1h`:                       {65*minuteMs - 1, 0},
		`m offset -1h + n`:                  {5*minuteMs - 1, 60 * minuteMs},
		`rate(m[5m] offset -7m)`:            {0, 7 * minuteMs},
		`max_over_time(rate(m[3m])[1h:1m])`: {63*minuteMs - 1, 0},
	} {
		e, err := p.ParseExpr(expr)
		require.NoError(t, err)
		got, ok := reachOf(e, 0, 5*time.Minute)
		require.True(t, ok, expr)
		require.Equal(t, want, got, expr)
	}
	for _, expr := range []string{`1`, `time()`, `m @ 5`, `m @ end()`, `rate(m[5m] @ start())`, `m{k="@"}`, `m offset 200y`} {
		e, err := p.ParseExpr(expr)
		require.NoError(t, err)
		_, ok := reachOf(e, 0, 5*time.Minute)
		require.False(t, ok, expr)
	}
}

func TestLongGrids(t *testing.T) {
	for g, long := range map[grid]bool{
		{start: 0, end: 31 * dayMs, step: 15_000}:               false,
		{start: 0, end: 366 * dayMs, step: 15_000}:              true,
		{start: 0, end: 11_000 * dayMs, step: dayMs}:            true,
		{start: 0, end: 9 * 366 * dayMs, step: dayMs}:           false,
		{start: -1 << 62, end: 1 << 62, step: dayMs}:            true,
		{start: math.MinInt64, end: math.MaxInt64, step: dayMs}: true,
	} {
		require.Equal(t, long, g.isLong(), "%+v", g)
	}
}
