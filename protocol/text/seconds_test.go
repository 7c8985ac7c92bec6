package text

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseSeconds(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "1": 1000, "1.001": 1001, "-1.001": -1001, "-1.0011": -1002, "+1.": 1000, ".5": 500, "-.0001": -1, "0.0009": 0, "1772323200.117": 1772323200117,
		"1.772323200117e9": 1772323200117, "1772323200117E-3": 1772323200117, "00000000000000000000000001.5": 1500, "0e99999999999": 0, "1e-99999999999": 0, "-1e-99999999999": -1,
		"1e30": math.MaxInt64, "-1e30": -math.MaxInt64, "9223372036854775.807": math.MaxInt64, "9223372036854775.808": math.MaxInt64, "-9223372036854775.808": -math.MaxInt64,
	} {
		got, ok := ParseSeconds(s)
		require.True(t, ok, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"", "-", ".", "e5", "1e", "1e+", "1e5x", "1.2.3", "NaN", "Inf", "0x1p3", "1_0", " 1", "1 "} {
		_, ok := ParseSeconds([]byte(s))
		require.False(t, ok, s)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		s := fmt.Sprintf("%d.%0*d", rng.Int64N(1<<40)-1<<39, 1+rng.IntN(9), rng.IntN(1000))
		if rng.IntN(2) == 0 {
			s += fmt.Sprintf("e%d", rng.IntN(9)-6)
		}
		r, ok := new(big.Rat).SetString(s)
		require.True(t, ok, s)
		r.Mul(r, big.NewRat(1000, 1))
		want := new(big.Int).Div(r.Num(), r.Denom()) // Euclidean, which is the floor for a positive divisor
		got, ok := ParseSeconds(s)
		require.True(t, ok, s)
		require.Equal(t, want.Int64(), got, s)
	}
}

// TestOpenMetricsTimesAreExact: each millisecond that is written is the one that is read, also of exemplars, whatever stands in labels.
func TestOpenMetricsTimesAreExact(t *testing.T) {
	var body strings.Builder
	var samples, exemplars []string
	for ms := int64(0); ms < 1000; ms++ {
		at := 1772323200000 + ms*1_000_001
		seconds := func(at int64) string { return fmt.Sprintf("%d.%03d", at/1000, at%1000) }
		fmt.Fprintf(&body, "a{b=\" 1 2 # {\"} 1 %s # {c=\" 3 4\"} 0.5 %s\n", seconds(at), seconds(at-1))
		samples = append(samples, sample(`{__name__="a", b=" 1 2 # {"}`, at, 1))
		exemplars = append(exemplars, fmt.Sprintf(`{__name__="a", b=" 1 2 # {"} %d 0.5 {c=" 3 4"}`, at-1))
	}
	body.WriteString("{\"x y\",\"l m\"=\"n o\"} 2 1.001\nz 3 1e300\n")
	samples = append(samples, sample(`{__name__="x y", "l m"="n o"}`, 1001, 2), sample(`{__name__="z"}`, math.MaxInt64, 3))
	got := read(t, strings.NewReader(body.String()), Options{OpenMetrics: true})
	require.NoError(t, got.err)
	require.Empty(t, got.bad)
	require.Equal(t, samples, got.samples)
	require.Equal(t, exemplars, got.exemplars)
}

// TestQuotesEndInTheirLine: a quote that does not makes its line bad, and no other.
func TestQuotesEndInTheirLine(t *testing.T) {
	for _, om := range []bool{false, true} {
		body := "a 1\n{\"b\nc\"} 2\nd 3\ne{f=\"g\nh\"} 4\ni 5\n"
		bad := []int{2, 3, 5, 6}
		if om {
			body += "# TYPE \"j\nk\" gauge\nl 6\n"
			bad = append(bad, 8, 9)
		} else {
			body += "l 6\n"
		}
		got := read(t, strings.NewReader(body), Options{OpenMetrics: om})
		require.NoError(t, got.err)
		require.Equal(t, bad, got.bad)
		require.Equal(t, []string{
			sample(`{__name__="a"}`, defaultMs, 1), sample(`{__name__="d"}`, defaultMs, 3), sample(`{__name__="i"}`, defaultMs, 5), sample(`{__name__="l"}`, defaultMs, 6),
		}, got.samples)
	}
}
