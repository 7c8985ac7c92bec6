package api

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	v1 "github.com/prometheus/prometheus/web/api/v1"
	"github.com/stretchr/testify/require"
)

// TestMatrixCodec: not a byte differs from what Prometheus' codec writes.
func TestMatrixCodec(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 5000 {
		resp := &v1.Response{Status: "success", Data: &v1.QueryData{ResultType: parser.ValueTypeMatrix, Result: randomMatrix(rng)}}
		if rng.IntN(3) == 0 {
			resp.Warnings = []string{`a "quoted" <warning>`, `"resultType":"matrix","result":[]`}
			resp.Infos = []string{"an info"}
		}
		requireSame(t, resp)
	}
}

func TestMatrixCodecOfOthers(t *testing.T) {
	series := func(p ...promql.HPoint) promql.Matrix {
		return promql.Matrix{{Metric: labels.FromStrings("a", "b"), Histograms: p, Floats: []promql.FPoint{{T: 1, F: 2}}}}
	}
	for name, data := range map[string]any{
		"none": nil, "names": []string{"a"},
		"empty":     &v1.QueryData{ResultType: parser.ValueTypeMatrix, Result: promql.Matrix{}},
		"nil":       &v1.QueryData{ResultType: parser.ValueTypeMatrix, Result: promql.Matrix(nil)},
		"vector":    &v1.QueryData{ResultType: parser.ValueTypeVector, Result: promql.Vector{{T: 1, F: 2, Metric: labels.FromStrings("a", "b")}}},
		"scalar":    &v1.QueryData{ResultType: parser.ValueTypeScalar, Result: promql.Scalar{T: 1, V: 2}},
		"histogram": &v1.QueryData{ResultType: parser.ValueTypeMatrix, Result: series(promql.HPoint{T: 5, H: &histogram.FloatHistogram{Count: 3}})},
	} {
		t.Run(name, func(t *testing.T) { requireSame(t, &v1.Response{Status: "success", Data: data}) })
	}
}

func requireSame(t *testing.T, resp *v1.Response) {
	t.Helper()
	want, err := v1.JSONCodec{}.Encode(resp)
	require.NoError(t, err)
	got, err := matrixCodec{}.Encode(resp)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func randomMatrix(rng *rand.Rand) promql.Matrix {
	texts := []string{"", "up", `q"u\o`, "new\nline", "\x00\x1f", "<a&b>", "héllo", "\u2028", "\xff"}
	odd := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1e21, 1e-7, 5e-324, math.MaxFloat64, 1 << 53, -(1 << 53), 1e-6, 999999999999999999999, -1, 0.1}
	m := make(promql.Matrix, rng.IntN(5))
	for i := range m {
		if rng.IntN(4) > 0 {
			m[i].Metric = labels.FromStrings("__name__", texts[rng.IntN(len(texts))], "x", texts[rng.IntN(len(texts))])
		}
		at := rng.Int64N(1<<41) - 1<<40
		if rng.IntN(4) == 0 {
			at = rng.Int64N(3000) - 1500
		}
		for range rng.IntN(6) {
			var f float64
			switch rng.IntN(4) {
			case 0:
				f = odd[rng.IntN(len(odd))]
			case 1:
				f = math.Float64frombits(rng.Uint64())
			case 2:
				f = float64(rng.Int64N(1<<55)-1<<54) / []float64{1, 10, 100, 1000, 1 << 20, 1e9, 1e12}[rng.IntN(7)]
			default:
				f = rng.NormFloat64() * 1000
			}
			m[i].Floats = append(m[i].Floats, promql.FPoint{T: at, F: f})
			at += rng.Int64N(3) * 1000 * rng.Int64N(2)
			at += rng.Int64N(1200)
		}
	}
	return m
}

// BenchmarkMatrixCodec writes 1,000 series of 61 points: rates, which have all digits, and gauges of two decimals.
func BenchmarkMatrixCodec(b *testing.B) {
	b.Run("rates", func(b *testing.B) { benchmarkMatrixCodec(b, func(f float64) float64 { return f }) })
	b.Run("gauges", func(b *testing.B) {
		benchmarkMatrixCodec(b, func(f float64) float64 { return math.Round(f*100) / 100 })
	})
}

func benchmarkMatrixCodec(b *testing.B, value func(float64) float64) {
	m := make(promql.Matrix, 1000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range m {
		m[i].Metric = labels.FromStrings("__name__", "http_requests_total", "instance", "10.0.0.1:9090", "job", "node")
		for j := range 61 {
			m[i].Floats = append(m[i].Floats, promql.FPoint{T: 1_700_000_000_123 + int64(j)*60_000, F: value(rng.Float64() * 100)})
		}
	}
	resp := &v1.Response{Status: "success", Data: &v1.QueryData{ResultType: parser.ValueTypeMatrix, Result: m}}
	for name, c := range map[string]v1.Codec{"prometheus": v1.JSONCodec{}, "varve": matrixCodec{}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out, err := c.Encode(resp)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(out)))
			}
		})
	}
}
