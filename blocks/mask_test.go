package blocks_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

func maskOf(id string, from, to int64, matchers ...*labels.Matcher) blocks.Mask {
	return blocks.Mask{ID: id, Range: model.TimeRange{MinMs: from, MaxMs: to}, Selectors: [][]*labels.Matcher{matchers}}
}

func TestHidden(t *testing.T) {
	a := labels.MustNewMatcher(labels.MatchEqual, "a", "1")
	none := labels.MustNewMatcher(labels.MatchEqual, "b", "")
	within := model.TimeRange{MinMs: 100, MaxMs: 200}
	ls := labels.FromStrings("a", "1")
	for _, c := range []struct {
		masks blocks.Masks
		want  []model.TimeRange
	}{
		{nil, nil},
		{blocks.Masks{maskOf("x", 0, 99, a)}, nil},
		{blocks.Masks{maskOf("x", 0, 100, a)}, []model.TimeRange{{MinMs: 100, MaxMs: 100}}},
		{blocks.Masks{maskOf("x", 150, 160, a, none), maskOf("y", 161, 300, a)}, []model.TimeRange{{MinMs: 150, MaxMs: 200}}},
		{blocks.Masks{maskOf("x", 180, 190, a), maskOf("y", 110, 120, a), maskOf("z", 115, 117, a)}, []model.TimeRange{{MinMs: 110, MaxMs: 120}, {MinMs: 180, MaxMs: 190}}},
		{blocks.Masks{maskOf("x", math.MinInt64, math.MaxInt64, a)}, []model.TimeRange{within}},
		{blocks.Masks{{Range: within, Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "a", "2")}, {a}}}}, []model.TimeRange{within}},
		{blocks.Masks{maskOf("x", 0, 300, a, labels.MustNewMatcher(labels.MatchEqual, "a", "2"))}, nil},
	} {
		require.Equal(t, c.want, c.masks.Hidden(ls, within))
	}
}

// maskWorld is random blocks, masks, and what a person would say is left of them: sample by sample, with its bits.
type maskWorld struct {
	inputs []*blocks.Meta
	data   map[string][]byte
	masks  []blocks.Masks
	day    model.Day
	// left of each input, and of all.
	left []map[string]string
	all  map[string]string
}

func (w *maskWorld) reader() blocks.RangeReader { return store(w.data) }

func newMaskWorld(t *testing.T, rng *rand.Rand, format blocks.Format) *maskWorld {
	w := &maskWorld{data: map[string][]byte{}, day: 19800, all: map[string]string{}}
	base := w.day.Range().MinMs
	matchers := []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "m0"),
		labels.MustNewMatcher(labels.MatchRegexp, "i", "[0-3]"),
		labels.MustNewMatcher(labels.MatchNotEqual, "i", "5"),
		labels.MustNewMatcher(labels.MatchEqual, "nope", ""),
	}
	var pool blocks.Masks
	for i := range 4 {
		from := base + int64(rng.IntN(40))*1000
		m := maskOf(fmt.Sprint("x", i), from, from+int64(rng.IntN(40))*1000, matchers[rng.IntN(len(matchers))])
		if rng.IntN(4) == 0 {
			m.Range = model.TimeRange{MinMs: base - 5, MaxMs: base + 1e9}
		}
		pool = append(pool, m)
	}
	for n := range 1 + rng.IntN(4) {
		var masks blocks.Masks
		for _, m := range pool {
			if rng.IntN(2) == 0 {
				masks = append(masks, m)
			}
		}
		var in []blocks.BuildSeries
		left := map[string]string{}
		for i := range 8 {
			ls := labels.FromStrings("__name__", fmt.Sprint("m", i%2), "i", fmt.Sprint(i))
			c := &model.Columns{}
			for at := base + int64(rng.IntN(20))*1000; c.Len() < 1+rng.IntN(40); at += 1000 * int64(1+rng.IntN(3)) {
				if rng.IntN(6) == 0 {
					c.AppendHistogram(at, fmt.Appendf(nil, "histogram %d", rng.IntN(1000)))
				} else {
					c.Append(at, math.Float64frombits(rng.Uint64()))
				}
			}
			for j, at := range c.T {
				if !hides(masks, ls, at) {
					left[fmt.Sprint(ls, at)] = sampleText(c, j)
					w.all[fmt.Sprint(ls, at)] = sampleText(c, j)
				}
			}
			in = append(in, blocks.BuildSeries{Labels: ls, Columns: c})
		}
		slices.SortFunc(in, func(a, b blocks.BuildSeries) int {
			return index.Compare(a.Labels, b.Labels)
		})
		var b bytes.Buffer
		m, err := blocks.Build(context.Background(), &blocks.Params{Tenant: "t", Day: w.day, Writer: "w", Generation: uint64(n), Format: format}, func(yield func(blocks.BuildSeries, error) bool) {
			for _, s := range in {
				if !yield(s, nil) {
					return
				}
			}
		}, &b)
		require.NoError(t, err)
		w.inputs, w.masks, w.left = append(w.inputs, m), append(w.masks, masks), append(w.left, left)
		w.data[blocks.Key(m)] = b.Bytes()
	}
	return w
}

func sampleText(c *model.Columns, i int) string {
	if c.H != nil && c.H[i] != nil {
		return string(c.H[i])
	}
	return fmt.Sprintf("%x", math.Float64bits(c.V[i]))
}

// hides is the naive reading of masks.
func hides(masks blocks.Masks, ls labels.Labels, at int64) bool {
	for _, m := range masks {
		for _, selector := range m.Selectors {
			all := m.Range.Contains(at)
			for _, matcher := range selector {
				all = all && matcher.Matches(ls.Get(matcher.Name))
			}
			if all {
				return true
			}
		}
	}
	return false
}

// TestMasks compares Select and Merger under masks with the naive reading of them, for both formats.
func TestMasks(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for n := range 60 {
		w := newMaskWorld(t, rng, []blocks.Format{blocks.Native, blocks.Parquet}[n%2])
		base := w.day.Range().MinMs
		for i, m := range w.inputs {
			r := w.day.Range()
			if rng.IntN(2) == 0 {
				r.MinMs = base + int64(rng.IntN(30))*1000
				r.MaxMs = r.MinMs + int64(rng.IntN(60))*1000
			}
			sel, err := blocks.Select(context.Background(), w.reader(), m, &blocks.Query{Range: r, Masks: w.masks[i]})
			require.NoError(t, err)
			got := map[string]string{}
			for _, s := range sel.Series {
				var c model.Columns
				c.Append(1, 2) // what is there already stays
				require.NoError(t, s.Samples(&c, r))
				require.Equal(t, int64(1), c.T[0])
				if hidden := w.masks[i].Hidden(s.Labels(), r.Intersect(m.Range())); len(hidden) > 0 {
					require.Greater(t, c.Len(), 1, "a series of which nothing is left")
				}
				require.True(t, c.H == nil || len(c.H) == len(c.T))
				for j := 1; j < c.Len(); j++ {
					got[fmt.Sprint(s.Labels(), c.T[j])] = sampleText(&c, j)
				}
			}
			sel.Close()
			want := map[string]string{}
			for _, s := range mustSelect(t, w, m, r) {
				var c model.Columns
				require.NoError(t, s.Samples(&c, r))
				for _, at := range c.T {
					if v, ok := w.left[i][fmt.Sprint(s.Labels(), at)]; ok {
						want[fmt.Sprint(s.Labels(), at)] = v
					}
				}
			}
			require.Equal(t, want, got)
		}
		merger := blocks.NewMerger(w.reader(), w.inputs, &blocks.MergeOptions{Masks: w.masks, Sequential: rng.IntN(2) == 0})
		got := map[string]string{}
		for {
			ok, err := merger.More(context.Background())
			require.NoError(t, err)
			if !ok {
				break
			}
			left := 1 + rng.IntN(3)
			for s, err := range merger.Series(context.Background(), func() bool { left--; return left >= 0 }) {
				require.NoError(t, err)
				require.NotZero(t, s.Columns.Len())
				for j, at := range s.Columns.T {
					got[fmt.Sprint(s.Labels, at)] = sampleText(s.Columns, j)
				}
			}
		}
		require.True(t, merger.Done())
		merger.Close()
		require.Equal(t, w.all, got)
	}
}

func mustSelect(t *testing.T, w *maskWorld, m *blocks.Meta, r model.TimeRange) []model.Series {
	sel, err := blocks.Select(context.Background(), w.reader(), m, &blocks.Query{Range: r})
	require.NoError(t, err)
	return sel.Series
}

// TestMasksOfLabels: a call for labels leaves out what is masked as a whole, and of which nothing is left (its last sample lies before the end of the block).
func TestMasksOfLabels(t *testing.T) {
	w := newMaskWorld(t, rand.New(rand.NewPCG(1, 1)), blocks.Native)
	m := w.inputs[0]
	whole := labels.MustNewMatcher(labels.MatchRegexp, "i", "[0-3]")
	part := labels.MustNewMatcher(labels.MatchEqual, "i", "4")
	masks := blocks.Masks{maskOf("x", m.MinT, m.MaxT, whole), maskOf("y", m.MinT, m.MaxT-1, part)}
	require.Equal(t, []string{"x", "y"}, masks.IDs())
	sel, err := blocks.Select(context.Background(), w.reader(), m, &blocks.Query{Range: m.Range(), Masks: masks, LabelsOnly: true})
	require.NoError(t, err)
	require.Len(t, sel.Series, 3)
}
