package blocks_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// exact is a sum with what it lacks, as Neumaier has it.
type exact struct{ sum, rest float64 }

func (e *exact) add(x float64) {
	t := e.sum + x
	if math.Abs(e.sum) >= math.Abs(x) {
		e.rest += e.sum - t + x
	} else {
		e.rest += x - t + e.sum
	}
	e.sum = t
}

// rolledUp is what the windows of the samples come to, floats only.
func rolledUp(c *model.Columns, resolution int64) *model.Rollup {
	out := &model.Rollup{}
	before := math.NaN()
	for i := 0; i < len(c.T); {
		end := model.WindowEnd(c.T[i], resolution)
		v := [model.Aggregates]float64{model.Min: math.Inf(1), model.Max: math.Inf(-1)}
		if math.IsNaN(before) {
			before = c.V[i]
		}
		var sum, increase exact
		increase.add(-before)
		for ; i < len(c.T) && c.T[i] <= end; i++ {
			x := c.V[i]
			v[model.Count]++
			sum.add(x)
			v[model.Min], v[model.Max], v[model.Last] = min(v[model.Min], x), max(v[model.Max], x), x
			if x < before {
				increase.add(before)
			}
			before = x
		}
		increase.add(before)
		v[model.Sum], v[model.Increase] = sum.sum+sum.rest, increase.sum+increase.rest
		out.Append(end, &v, nil)
	}
	return out
}

func rolledUpAll(in []blocks.BuildSeries, f blocks.Format) (out []blocks.BuildSeries) {
	for _, s := range in {
		out = append(out, blocks.BuildSeries{Labels: s.Labels, Rollup: rolledUp(s.Columns, f.ResolutionMs())})
	}
	return out
}

func buildRollup(t testing.TB, f blocks.Format, in []blocks.BuildSeries) (*blocks.Meta, []byte) {
	t.Helper()
	var b bytes.Buffer
	p := &blocks.Params{Tenant: "t1", Day: day, ID: "rolled", CreatedMs: 5, Format: f, Sources: []blocks.Source{{Writer: "w", From: 1, To: 3}}}
	m, err := blocks.Build(t.Context(), p, each(in), &b)
	require.NoError(t, err)
	require.Equal(t, int64(b.Len()), m.Size)
	require.Equal(t, blocks.Checksum(b.Bytes()), m.CRC)
	return m, b.Bytes()
}

// anyRollup is n windows at most of every kind of number, some with histograms if asked for.
func anyRollup(r *rand.Rand, f blocks.Format, n int, histograms bool) *model.Rollup {
	out := &model.Rollup{}
	kind, last := r.Intn(6), float64(r.Intn(1000))
	special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.NaN(), 0.1, 5e-324, 1 << 60, math.Float64frombits(0x7ff8000000000002)}
	for end := day.Range().MinMs; out.Len() < n && end <= day.Range().MaxMs; {
		var v [model.Aggregates]float64
		for a := range v {
			switch kind {
			case 0:
				v[a] = r.NormFloat64()
			case 1:
				v[a] = special[r.Intn(len(special))]
			default:
				v[a] = float64(r.Intn(2000)-1000) / []float64{1, 100, 8}[r.Intn(kind)/2]
			}
		}
		v[model.Count] = float64(1 + r.Intn(20))
		if kind == 2 && r.Intn(30) > 0 { // constant within windows
			v[model.Sum] = v[model.Count] * v[model.Last]
		}
		if kind > 3 { // a counter, mostly
			if v[model.Last] = last + float64(r.Intn(50))/4; r.Intn(20) > 0 {
				v[model.Increase] = v[model.Last] - last
			}
			if last = v[model.Last]; r.Intn(30) > 0 {
				v[model.Max] = last
			}
		}
		var h []byte
		if histograms && r.Intn(4) == 0 {
			v = [model.Aggregates]float64{model.Count: v[model.Count]}
			h = [][]byte{{0x0a, 1, 2, 3}, model.HistogramWithStart(5, []byte{0x0a, 9}), []byte("other"), {}, model.FloatWithStart(7, 1.5)}[r.Intn(5)]
		}
		out.Append(end, &v, h)
		end = model.WindowEnd(end+1+int64(r.Intn(3))*f.ResolutionMs()*int64(r.Intn(2)), f.ResolutionMs())
		if end == out.T[out.Len()-1] {
			break
		}
	}
	return out
}

// smallRollup is a block of windows of every kind that is quick to read.
func smallRollup(f blocks.Format) (in []blocks.BuildSeries) {
	r := rand.New(rand.NewSource(3))
	for i := range 12 {
		in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%d", i/3), "i", fmt.Sprint(i)), Rollup: anyRollup(r, f, 20, i%3 == 0)})
	}
	return in
}

// aggregateOf is what a select of the aggregate has to answer of the windows.
func aggregateOf(x *model.Rollup, a model.Aggregate) *model.Columns {
	c := &model.Columns{}
	for i, at := range x.T {
		switch {
		case x.H == nil || x.H[i] == nil || a == model.Count:
			c.Append(at, x.V[a][i])
		case a == model.Last:
			c.AppendHistogram(at, x.H[i])
		}
	}
	return c
}

func requireRollup(t require.TestingT, want, got *model.Rollup) {
	require.Equal(t, want.T, got.T)
	require.Equal(t, want.H, got.H)
	for a := range want.V {
		for i := range want.V[a] {
			require.Equal(t, math.Float64bits(want.V[a][i]), math.Float64bits(got.V[a][i]), "%s of window %d, %v and %v", model.Aggregate(a), i, want.V[a][i], got.V[a][i])
		}
	}
}

func TestRollupRoundTrip(t *testing.T) {
	for seed := range int64(8) {
		f := []blocks.Format{blocks.Rollup5m, blocks.Rollup1h}[seed%2]
		r := rand.New(rand.NewSource(seed))
		var in []blocks.BuildSeries
		windows, histograms := 0, 0
		for i := range 120 {
			x := anyRollup(r, f, 1+r.Intn(300), seed%3 > 0 && i%7 == 0)
			windows += x.Len()
			for _, h := range x.H {
				if h != nil {
					histograms++
				}
			}
			in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%02d", i/10), "i", fmt.Sprintf("%03d", i)), Rollup: x})
		}
		m, b := buildRollup(t, f, in)
		require.EqualValues(t, windows, m.Samples, "seed %d", seed)
		require.EqualValues(t, histograms, m.Histograms)
		require.NoError(t, blocks.Verify(b))
		again, _ := buildRollup(t, f, in)
		require.Equal(t, m, again)

		rd := blocks.NewRollupReader(t.Context(), blocks.Bytes(b), m, nil, nil)
		for _, s := range in {
			require.True(t, rd.Next(), "%v", rd.Err())
			require.Equal(t, s.Labels, rd.Labels())
			requireRollup(t, s.Rollup, rd.Rollup())
		}
		require.False(t, rd.Next())
		require.NoError(t, rd.Err())
		rd.Close()

		rg := model.TimeRange{MinMs: m.MinT + r.Int63n(model.MsPerDay), MaxMs: m.MaxT - r.Int63n(model.MsPerDay/2)}
		for a := range model.Aggregates {
			for _, rg := range []model.TimeRange{day.Range(), rg} {
				sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: rg, Aggregate: a})
				require.NoError(t, err)
				got := map[string]model.Columns{}
				for _, s := range withSamples(t, sel, rg) {
					got[s.ls] = s.c
				}
				for _, s := range in {
					have := got[s.Labels.String()]
					requireColumns(t, aggregateOf(s.Rollup, a), &have, rg)
				}
				sel.Close()
			}
		}
	}
}

func TestRollupFaults(t *testing.T) {
	x := func() *model.Rollup {
		return &model.Rollup{T: []int64{day.Range().MinMs + 300_000}, V: [model.Aggregates][]float64{{1}, {1}, {1}, {1}, {1}, {1}}}
	}
	ls := labels.FromStrings("__name__", "m")
	for name, c := range map[string]struct {
		f blocks.Format
		s blocks.BuildSeries
	}{
		"no window ends there": {blocks.Rollup1h, blocks.BuildSeries{Labels: ls, Rollup: x()}},
		"samples":              {blocks.Rollup5m, blocks.BuildSeries{Labels: ls, Columns: &model.Columns{T: []int64{day.Range().MinMs}, V: []float64{1}}}},
		"windows":              {blocks.Parquet, blocks.BuildSeries{Labels: ls, Rollup: x()}},
		"other day":            {blocks.Rollup5m, blocks.BuildSeries{Labels: ls, Rollup: func() *model.Rollup { x := x(); x.T[0] += model.MsPerDay; return x }()}},
		"columns":              {blocks.Rollup5m, blocks.BuildSeries{Labels: ls, Rollup: func() *model.Rollup { x := x(); x.V[3] = nil; return x }()}},
		"half a sample":        {blocks.Rollup5m, blocks.BuildSeries{Labels: ls, Rollup: func() *model.Rollup { x := x(); x.V[0][0] = 0.5; return x }()}},
	} {
		_, err := blocks.Build(t.Context(), &blocks.Params{Tenant: "t1", Day: day, ID: "x", Format: c.f}, each([]blocks.BuildSeries{c.s}), &bytes.Buffer{})
		require.ErrorIs(t, err, model.ErrInvalid, name)
	}
	m, b := buildRollup(t, blocks.Rollup5m, smallRollup(blocks.Rollup5m))
	_, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: day.Range(), Aggregate: model.Aggregates})
	require.ErrorIs(t, err, model.ErrInvalid)
	merger := blocks.NewMerger(blocks.Bytes(b), []*blocks.Meta{m}, nil)
	_, err = merger.More(t.Context())
	require.ErrorIs(t, err, model.ErrVersion, "rollups are not merged as samples")
	merger.Close()
	pm, pb := buildParquet(t, smallRows())
	rd := blocks.NewRollupReader(t.Context(), blocks.Bytes(pb), pm, nil, nil)
	require.False(t, rd.Next())
	require.ErrorIs(t, rd.Err(), model.ErrInvalid)
	rd.Close()
}

// rollupAnswers is what any reader makes of the block, or the first error.
func rollupAnswers(t testing.TB, b []byte, m *blocks.Meta) (out []string, err error) {
	for a := range model.Aggregates {
		sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: day.Range(), Aggregate: a})
		if err != nil {
			return nil, err
		}
		defer sel.Close()
		for _, s := range sel.Series {
			var c model.Columns
			if err := s.Samples(&c, day.Range()); err != nil {
				return nil, err
			}
			out = append(out, fmt.Sprint(a, s.Labels(), c))
		}
	}
	rd := blocks.NewRollupReader(t.Context(), blocks.Bytes(b), m, nil, nil)
	defer rd.Close()
	for rd.Next() {
		out = append(out, fmt.Sprint(rd.Labels(), rd.Rollup()))
	}
	return out, rd.Err()
}

// TestRollupEveryByteCounts flips a bit in each byte: Verify must notice, and nobody may answer differently.
func TestRollupEveryByteCounts(t *testing.T) {
	m, b := buildRollup(t, blocks.Rollup5m, smallRollup(blocks.Rollup5m)[:4])
	want, err := rollupAnswers(t, b, m)
	require.NoError(t, err)
	noticed := 0
	for i := range b {
		b[i] ^= 1 << (i % 8)
		require.Error(t, blocks.Verify(b), "byte %d", i)
		if got, err := rollupAnswers(t, b, m); err == nil {
			require.Equal(t, want, got, "byte %d", i)
		} else {
			require.ErrorIs(t, err, model.ErrCorrupt, "byte %d", i)
			require.ErrorContains(t, err, blocks.Key(m))
			noticed++
		}
		b[i] ^= 1 << (i % 8)
	}
	require.Greater(t, noticed, len(b)/4)
	for i := 0; i < len(b); i += 7 {
		require.Error(t, blocks.Verify(b[:i]))
	}
	require.NoError(t, blocks.Verify(b))
}

func TestRollupOpen(t *testing.T) {
	for f, key := range map[blocks.Format]string{
		blocks.Rollup5m: "r/tenant=t1/day=2024-10-04/rolled.5m.parquet", blocks.Rollup1h: "r/tenant=t1/day=2024-10-04/rolled.1h.parquet",
	} {
		m, b := buildRollup(t, f, smallRollup(f))
		require.Equal(t, key, blocks.Key(m))
		tenant, d, id, format, ok := blocks.ParseKey(key)
		require.True(t, ok)
		require.Equal(t, []any{"t1", day, "rolled", f}, []any{tenant, d, id, format})
		for _, guess := range []int64{16, 1000, 1 << 20} {
			got, err := blocks.OpenGuessing(t.Context(), blocks.Bytes(b), int64(len(b)), guess)
			require.NoError(t, err)
			require.Equal(t, m, got)
		}
	}
	for _, key := range []string{"d/tenant=t1/day=2024-10-04/x.5m.parquet", "r/tenant=t1/day=2024-10-04/x.parquet", "r/tenant=t1/day=2024-10-04/x.vb", "r/tenant=t1/day=2024-10-04/.1h.parquet"} {
		_, _, id, f, ok := blocks.ParseKey(key)
		require.False(t, ok && f != blocks.Parquet, "%s is %s of format %d", key, id, f)
	}
}

// TestGoldenRollup reads the blocks that lie in testdata and builds them again, byte for byte.
func TestGoldenRollup(t *testing.T) {
	for f, file := range map[blocks.Format]string{blocks.Rollup5m: "rollup-v1.5m.parquet", blocks.Rollup1h: "rollup-v1.1h.parquet"} {
		name := filepath.Join("testdata", file)
		m, b := buildRollup(t, f, smallRollup(f))
		if *golden {
			require.NoError(t, os.WriteFile(name, b, 0o644))
		}
		old, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, blocks.Verify(old))
		om, err := blocks.Open(t.Context(), blocks.Bytes(old), "old", int64(len(old)))
		require.NoError(t, err)
		want, err := rollupAnswers(t, b, m)
		require.NoError(t, err)
		got, err := rollupAnswers(t, old, om)
		require.NoError(t, err)
		require.True(t, slices.Equal(want, got))
		require.True(t, bytes.Equal(old, b), "the same input gives the same bytes; with a new compressor rewrite the file with -update beside the old one")
	}
}
