package blocks_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

func buildParquet(t testing.TB, in []blocks.BuildSeries) (*blocks.Meta, []byte) {
	t.Helper()
	var b bytes.Buffer
	p := &blocks.Params{Tenant: "t1", Day: day, Writer: "w", Generation: 3, CreatedMs: 5, Format: blocks.Parquet}
	m, err := blocks.Build(t.Context(), p, each(in), &b)
	require.NoError(t, err)
	require.Equal(t, int64(b.Len()), m.Size)
	require.Equal(t, blocks.Checksum(b.Bytes()), m.CRC)
	return m, b.Bytes()
}

// wholeDay spreads the samples of columns over the day, so that they fall into all windows.
func wholeDay(c *model.Columns) *model.Columns {
	n := int64(len(c.T))
	step := (model.MsPerDay - 60_000) / n
	for i := range c.T {
		c.T[i] = day.Range().MinMs + int64(i)*step + c.T[i]%50
	}
	return c
}

// requireSame compares what two blocks answer.
func requireSame(t require.TestingT, a, b blocks.RangeReader, am, bm *blocks.Meta, rg model.TimeRange, ms ...*labels.Matcher) {
	ctx := rapidContext()
	want, err := blocks.Select(ctx, a, am, &blocks.Query{Range: rg, Matchers: ms})
	require.NoError(t, err)
	defer want.Close()
	got, err := blocks.Select(ctx, b, bm, &blocks.Query{Range: rg, Matchers: ms})
	require.NoError(t, err)
	defer got.Close()
	ws, gs := withSamples(t, want, rg), withSamples(t, got, rg)
	require.Equal(t, len(ws), len(gs))
	for i := range ws {
		require.Equal(t, ws[i].ls, gs[i].ls)
		requireColumns(t, &ws[i].c, &gs[i].c, rg)
	}
}

type answer struct {
	ls string
	c  model.Columns
}

// withSamples are the series of the selection that have samples in the range.
func withSamples(t require.TestingT, s *model.Selection, rg model.TimeRange) (out []answer) {
	for _, x := range s.Series {
		a := answer{ls: x.Labels().String()}
		require.NoError(t, x.Samples(&a.c, rg))
		if a.c.Len() > 0 {
			out = append(out, a)
		}
	}
	return out
}

func TestParquetRoundTrip(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	var in []blocks.BuildSeries
	for i := range 300 {
		n := 1 + r.Intn(300)
		if i%50 == 0 {
			n = 5000 + r.Intn(9000)
		}
		c := columns(r, i, n, i%2 == 0)
		if i%3 == 0 {
			c = wholeDay(c)
		}
		in = append(in, blocks.BuildSeries{
			Labels:  labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i%20), "instance", fmt.Sprint(i), "Zone", fmt.Sprint(i%3)),
			Columns: c,
		})
	}
	nm, nb := build(t, in)
	m, b := buildParquet(t, in)
	require.NoError(t, blocks.Verify(b))
	om, err := blocks.Open(t.Context(), blocks.Bytes(b), "key", int64(len(b)))
	require.NoError(t, err)
	require.Equal(t, m, om)
	_, again := buildParquet(t, in)
	require.True(t, bytes.Equal(b, again), "the same input gives the same bytes")
	hour := int64(3600e3)
	for _, rg := range []model.TimeRange{
		day.Range(),
		{MinMs: m.MinT + 100_000, MaxMs: m.MinT + 900_000},
		{MinMs: m.MinT, MaxMs: m.MinT},
		{MinMs: m.MinT + 3*hour, MaxMs: m.MinT + 9*hour},
		{MinMs: m.MinT + 8*hour, MaxMs: m.MinT + 8*hour},
	} {
		requireSame(t, blocks.Bytes(nb), blocks.Bytes(b), nm, m, rg)
		requireSame(t, blocks.Bytes(nb), blocks.Bytes(b), nm, m, rg, labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_7"))
		requireSame(t, blocks.Bytes(nb), blocks.Bytes(b), nm, m, rg, labels.MustNewMatcher(labels.MatchRegexp, "instance", "1.*"))
	}
}

// drawColumns makes samples with all that a sample can be.
func drawColumns(t *rapid.T) *model.Columns {
	c := &model.Columns{}
	at := day.Range().MinMs + rapid.Int64Range(0, model.MsPerDay/2).Draw(t, "start")
	v := rapid.Float64().Draw(t, "v")
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	for range rapid.IntRange(1, 400).Draw(t, "n") {
		at += rapid.SampledFrom([]int64{1, 15000, 15001, 14990, 600_000}).Draw(t, "step")
		if !day.Range().Contains(at) {
			break
		}
		switch kind {
		case 0:
			v = float64(rapid.Int64().Draw(t, "v"))
		case 1:
			v = float64(rapid.IntRange(-100_000, 100_000).Draw(t, "v")) / rapid.SampledFrom([]float64{1, 10, 1000, 1e15}).Draw(t, "of")
		case 2:
			v = math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
		case 3:
			v = rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, math.Float64frombits(0x7ff0000000000002), math.NaN(), math.Inf(-1), 0.1, 1e300}).Draw(t, "v")
		case 4:
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				c.AppendHistogram(at, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "opaque"))
				continue
			case 1:
				c.AppendHistogram(at, model.FloatWithStart(rapid.Int64().Draw(t, "from"), v))
				continue
			case 2:
				c.AppendHistogram(at, model.HistogramWithStart(rapid.Int64().Draw(t, "from"), []byte{0x0a, 1, 2}))
				continue
			}
		}
		c.Append(at, v)
	}
	for i, h := range c.H {
		if h == nil {
			continue
		}
		c.H[i] = append([]byte{}, h...) // never nil
	}
	return c
}

func TestParquetAgainstNative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in []blocks.BuildSeries
		for i := range rapid.IntRange(1, 12).Draw(t, "series") {
			c := drawColumns(t)
			if c.Len() == 0 {
				continue
			}
			in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%d", i/4), "i", fmt.Sprint(i)), Columns: c})
		}
		if len(in) == 0 {
			return
		}
		tb := testBlocks{t}
		nm, nb := tb.build(in, blocks.Native)
		m, b := tb.build(in, blocks.Parquet)
		require.NoError(t, blocks.Verify(b))
		requireSame(t, blocks.Bytes(nb), blocks.Bytes(b), nm, m, day.Range())
		from := rapid.Int64Range(m.MinT, m.MaxT).Draw(t, "from")
		rg := model.TimeRange{MinMs: from, MaxMs: rapid.Int64Range(from, m.MaxT).Draw(t, "to")}
		requireSame(t, blocks.Bytes(nb), blocks.Bytes(b), nm, m, rg, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m0"))
	})
}

// testBlocks builds within rapid.
type testBlocks struct{ t *rapid.T }

func (tb testBlocks) build(in []blocks.BuildSeries, f blocks.Format) (*blocks.Meta, []byte) {
	var b bytes.Buffer
	m, err := blocks.Build(rapidContext(), &blocks.Params{Tenant: "t1", Day: day, Writer: "w", Format: f}, each(in), &b)
	require.NoError(tb.t, err)
	return m, b.Bytes()
}

func rapidContext() context.Context { return context.Background() }

// TestParquetOfFile compares both formats of the series of VARVE_BENCH_SERIES, or of made-up ones.
func TestParquetOfFile(t *testing.T) {
	for d, in := range byDay(benchSeries(t)) {
		var nb, pb bytes.Buffer
		p := &blocks.Params{Tenant: "t", Day: d, Writer: "w"}
		nm, err := blocks.Build(t.Context(), p, each(in), &nb)
		require.NoError(t, err)
		p.Format = blocks.Parquet
		pm, err := blocks.Build(t.Context(), p, each(in), &pb)
		require.NoError(t, err)
		want, err := blocks.Select(t.Context(), blocks.Bytes(nb.Bytes()), nm, &blocks.Query{Range: d.Range()})
		require.NoError(t, err)
		got, err := blocks.Select(t.Context(), blocks.Bytes(pb.Bytes()), pm, &blocks.Query{Range: d.Range()})
		require.NoError(t, err)
		require.Equal(t, len(want.Series), len(got.Series))
		var a, b model.Columns
		for i := range want.Series {
			a.Reset()
			b.Reset()
			require.NoError(t, want.Series[i].Samples(&a, d.Range()))
			require.NoError(t, got.Series[i].Samples(&b, d.Range()))
			require.True(t, labels.Equal(want.Series[i].Labels(), got.Series[i].Labels()))
			require.True(t, slices.Equal(a.T, b.T) && slices.EqualFunc(a.V, b.V, func(x, y float64) bool {
				return math.Float64bits(x) == math.Float64bits(y)
			}), "series %s", got.Series[i].Labels())
		}
		want.Close()
		got.Close()
	}
}
