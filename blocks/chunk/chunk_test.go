package chunk

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/internal/decimal"
	"github.com/varvedb/varve/model"
)

var golden = flag.Bool("update", false, "rewrite golden files")

var stale = math.Float64frombits(0x7ff0000000000002)

func series(n int, f func(i int) float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = f(i)
	}
	return v
}

// cases are values that lie at the edges of the codecs, with the codec byte they take.
func cases() []struct {
	name  string
	codec byte
	v     []float64
} {
	sum := 0.0
	r := rand.New(rand.NewSource(7))
	return []struct {
		name  string
		codec byte
		v     []float64
	}{
		{"one", 0x10, []float64{1}},
		{"zeros", 0x10, make([]float64, 100)},
		{"negative zeros", 0x00, series(5, func(int) float64 { return math.Copysign(0, -1) })},
		{"stale markers", 0x00, series(5, func(int) float64 { return stale })},
		{"constant decimal", 0x10, series(9, func(int) float64 { return 0.25 })},
		{"constant pi", 0x00, series(9, func(int) float64 { return math.Pi })},
		{"gauge", 0x01, series(50, func(i int) float64 { return float64(i*7919%13) / 100 })},
		{"steady counter", 0x01 | flagScale, series(50, func(i int) float64 { return float64(1000 + 5*i) })},
		{"accelerating", 0x01 | flagSecond, series(200, func(i int) float64 { return float64(i * i) })},
		{"counter", 0x01 | flagBase, series(50, func(i int) float64 { return float64(1000*i + i*7919%100) })},
		{"bytes", 0x01 | flagScale, series(50, func(i int) float64 { return float64(i * 7919 % 64 * 4096) })},
		{"counter ends stale", 0x01 | flagScale | flagExceptions, append(series(50, func(i int) float64 { return float64(2 * i) }), stale)},
		{"begins stale", 0x01 | flagExceptions, append([]float64{stale}, series(50, func(i int) float64 { return float64(i * 7919 % 13) })...)},
		{"negative zero inside", 0x01 | flagExceptions, append(series(40, func(i int) float64 { return float64(i * 7919 % 13) }), math.Copysign(0, -1), 3)},
		{"big integers", 0x02, []float64{1 << 53, -(1 << 53), 0}},
		{"beyond integers", 0x02, []float64{1 << 60, 3 << 60, 1e300}},
		{"sum", 0x02, series(50, func(int) float64 { sum += r.Float64(); return sum })},
		{"noise", 0x02, series(50, func(int) float64 { return r.NormFloat64() })},
		{"specials", 0x02, []float64{math.NaN(), stale, math.Inf(1), math.Inf(-1), 5e-324, -5e-324, math.MaxFloat64, math.Copysign(0, -1), 0}},
		{"all bits", 0x02, []float64{math.Float64frombits(0), math.Float64frombits(math.MaxUint64), math.Float64frombits(1), math.Float64frombits(1 << 63)}},
		{"fifteen decimals", 0x01 | flagScale, []float64{0.000000000000001, 0.000000000000017}},
	}
}

func TestCodecs(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			var e Encoder
			b := e.Append([]byte("x"), c.v, nil)
			require.Equal(t, fmt.Sprintf("%02x", c.codec), fmt.Sprintf("%02x", b[1]))
			requireDecodes(t, b[1:], c.v, nil)
		})
	}
}

func requireDecodes(t require.TestingT, b []byte, want []float64, wantH [][]byte) {
	v, h, err := Decode([]float64{42}, nil, b, len(want))
	require.NoError(t, err)
	require.Len(t, v, len(want)+1)
	require.Equal(t, 42.0, v[0])
	for i, w := range want {
		if wantH != nil && wantH[i] != nil {
			require.Equal(t, wantH[i], h[i+1])
			continue
		}
		require.Equal(t, math.Float64bits(w), math.Float64bits(v[i+1]), "value %d", i)
		require.True(t, h == nil || h[i+1] == nil)
	}
}

// anyFloat mixes floats of all kinds, so that chunks change their minds half way.
func anyFloat() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.Map(rapid.Uint64(), math.Float64frombits),
		rapid.Map(rapid.Int64Range(-1000, 1000), func(i int64) float64 { return float64(i) / 100 }),
		rapid.Map(rapid.Int64(), func(i int64) float64 { return float64(i) }),
		rapid.Map(rapid.Int64Range(-1<<53, 1<<53), func(i int64) float64 { return float64(i) / 1e9 }),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), stale, math.NaN(), math.Inf(1), 5e-324, 1 << 53, 1<<53 + 2}),
	)
}

func TestRoundTripProperty(t *testing.T) {
	var e Encoder
	rapid.Check(t, func(t *rapid.T) {
		gen := anyFloat()
		if rapid.Bool().Draw(t, "mostly decimals") {
			gen = rapid.Map(rapid.Int64Range(-500, 100000), func(i int64) float64 { return float64(i) / 1000 })
		}
		v := rapid.SliceOfN(gen, 1, 200).Draw(t, "values")
		for range rapid.IntRange(0, 3).Draw(t, "exceptions") {
			v[rapid.IntRange(0, len(v)-1).Draw(t, "at")] = anyFloat().Draw(t, "exception")
		}
		var h [][]byte
		if rapid.Bool().Draw(t, "histograms") {
			h = make([][]byte, len(v))
			for i := range h {
				if rapid.Bool().Draw(t, "is") {
					h[i] = []byte(rapid.StringN(0, 5, 10).Draw(t, "histogram"))
				}
			}
		}
		b := e.Append(nil, v, h)
		requireDecodes(t, b, v, h)
		require.Equal(t, b, e.Append(nil, v, h), "encoding is deterministic")
	})
}

func TestDecimalsAreExact(t *testing.T) {
	for _, v := range []float64{math.Copysign(0, -1), math.NaN(), math.Inf(1), 1<<53 + 2, -(1 << 62), -(1 << 63), 1e300, math.Pi, 5e-324} {
		k, ok := decimal.LeastScale(v)
		require.False(t, ok, "%v is no decimal of %d places", v, k)
	}
	for v, k := range map[float64]int{0: 0, 1: 0, -0.5: 1, 0.1: 1, 0.07: 2, 123456.789: 3, 1 << 53: 0} {
		got, ok := decimal.LeastScale(v)
		require.True(t, ok)
		require.Equal(t, k, got, "%v", v)
	}
}

func TestRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Int64Range(-1<<60, 1<<60).Draw(t, "start")
		ts := []int64{at}
		for _, d := range rapid.SliceOfN(rapid.SampledFrom([]int64{15000, 15000, 15000, 15001, 1, 1 << 40}), 0, 100).Draw(t, "steps") {
			at += d
			ts = append(ts, at)
		}
		b := AppendRun(nil, ts)
		got, err := DecodeRun([]int64{7}, b)
		require.NoError(t, err)
		require.Equal(t, append([]int64{7}, ts...), got)
		require.True(t, RunEquals(b, ts))
		other := append([]int64(nil), ts...)
		other[rapid.IntRange(0, len(ts)-1).Draw(t, "changed")]++
		require.False(t, RunEquals(b, other))
		require.False(t, RunEquals(b, append(other[:0:0], append(ts, at+1)...)))
	})
	require.Len(t, AppendRun(nil, []int64{0, 15000, 30000, 45000, 60000, 75000}), 6, "a steady run costs next to nothing")
}

func TestCorruptChunks(t *testing.T) {
	var e Encoder
	for _, c := range cases() {
		b := e.Append(nil, c.v, nil)
		for i := range b {
			_, _, err := Decode(nil, nil, b[:i], len(c.v))
			require.Error(t, err, "%s cut to %d", c.name, i)
			require.True(t, errors.Is(err, model.ErrCorrupt) || errors.Is(err, model.ErrVersion))
		}
		if c.codec != 0x02 && c.codec&0x0f != 0 {
			_, _, err := Decode(nil, nil, append(b, 0), len(c.v))
			require.ErrorIs(t, err, model.ErrCorrupt)
		}
	}
	_, _, err := Decode(nil, nil, []byte{0x0f, 1, 2}, 2)
	require.ErrorIs(t, err, model.ErrVersion)
	_, err = DecodeRun(nil, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 1})
	require.ErrorIs(t, err, model.ErrCorrupt)
	_, err = DecodeRun(nil, []byte{3, 2, 0, 0, 0})
	require.ErrorIs(t, err, model.ErrCorrupt, "timestamps that do not ascend")
}

// TestGolden keeps the bytes of version 1 readable, and written as they are.
func TestGolden(t *testing.T) {
	name := filepath.Join("testdata", "chunks-v1.txt")
	var e Encoder
	if *golden {
		var b strings.Builder
		for _, c := range cases() {
			fmt.Fprintf(&b, "%s: %s\n", c.name, hex.EncodeToString(e.Append(nil, c.v, nil)))
		}
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(name, []byte(b.String()), 0o644))
	}
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	lines := map[string]string{}
	for _, l := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		k, v, _ := strings.Cut(l, ": ")
		lines[k] = v
	}
	for _, c := range cases() {
		b, err := hex.DecodeString(lines[c.name])
		require.NoError(t, err)
		requireDecodes(t, b, c.v, nil)
		require.Equal(t, lines[c.name], hex.EncodeToString(e.Append(nil, c.v, nil)), c.name)
	}
}

func FuzzDecode(f *testing.F) {
	var e Encoder
	for _, c := range cases() {
		f.Add(e.Append(nil, c.v, nil), len(c.v))
	}
	f.Add(e.Append(nil, []float64{1, 2, 3}, [][]byte{nil, []byte("h"), nil}), 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		v, h, err := Decode(nil, nil, b, n)
		if err != nil {
			if !errors.Is(err, model.ErrCorrupt) && !errors.Is(err, model.ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		if len(v) != n {
			t.Fatalf("%d values of %d", len(v), n)
		}
		requireDecodes(t, e.Append(nil, v, h), v, h)
	})
}

func FuzzDecodeRun(f *testing.F) {
	f.Add(AppendRun(nil, []int64{1, 2, 3, 4, 9}))
	f.Add(AppendRun(nil, []int64{-5}))
	f.Fuzz(func(t *testing.T, b []byte) {
		ts, err := DecodeRun(nil, b)
		if err != nil {
			if !errors.Is(err, model.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		for i := 1; i < len(ts); i++ {
			if ts[i] <= ts[i-1] {
				t.Fatal("not ascending")
			}
		}
	})
}
