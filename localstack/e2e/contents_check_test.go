//go:build e2e

package e2e

import (
	"math"
	"testing"
)

// TestDifference: the comparison on which all rests sees a missing sample, another time, another bit and another NaN.
func TestDifference(t *testing.T) {
	nan := math.Float64bits(math.NaN())
	base := []point{{1, 10}, {2, nan}, {3, staleBits}}
	for _, tt := range []struct {
		name    string
		got     []point
		sameNaN bool
		differ  bool
	}{
		{"same", []point{{1, 10}, {2, nan}, {3, staleBits}}, false, false},
		{"one short", []point{{1, 10}, {2, nan}}, false, true},
		{"one more", []point{{1, 10}, {2, nan}, {3, staleBits}, {4, 0}}, false, true},
		{"another time", []point{{1, 10}, {2, nan}, {4, staleBits}}, false, true},
		{"another bit", []point{{1, 11}, {2, nan}, {3, staleBits}}, false, true},
		{"another NaN", []point{{1, 10}, {2, nan + 1}, {3, staleBits}}, false, true},
		{"any NaN", []point{{1, 10}, {2, nan + 1}, {3, nan}}, true, false},
		{"nothing", nil, true, true},
	} {
		if d := difference(base, tt.got, tt.sameNaN); (d != "") != tt.differ {
			t.Errorf("%s: difference %q", tt.name, d)
		}
	}
	if got := (contents{"a": base, "b": {{1, staleBits}}}).withoutStale(); len(got) != 1 || len(got["a"]) != 2 {
		t.Errorf("without staleness markers %v", got)
	}
}
