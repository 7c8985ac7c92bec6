//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// staleBits is the NaN that ends a series.
const staleBits = 0x7ff0000000000002

// A point is one sample with its value as bits, so that every NaN is itself.
type point struct {
	t    int64
	bits uint64
}

// contents are samples by series: what a store holds.
type contents map[string][]point

// keyOf is a label set as text, the same for the same labels in any order.
func keyOf(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(name + "=" + strconv.Quote(labels[name]) + ",")
	}
	return b.String()
}

func (c contents) byTime(key string) map[int64]uint64 {
	out := make(map[int64]uint64, len(c[key]))
	for _, p := range c[key] {
		out[p.t] = p.bits
	}
	return out
}

// count returns the series, the samples, and how many of these are staleness markers.
func (c contents) count() (series, samples, stale int) {
	for _, points := range c {
		samples += len(points)
		for _, p := range points {
			if p.bits == staleBits {
				stale++
			}
		}
	}
	return len(c), samples, stale
}

// withoutStale leaves out staleness markers and series that consist of nothing else, as answers to queries do.
func (c contents) withoutStale() contents {
	out := contents{}
	for key, points := range c {
		points = slices.DeleteFunc(slices.Clone(points), func(p point) bool { return p.bits == staleBits })
		if len(points) > 0 {
			out[key] = points
		}
	}
	return out
}

// requireEqual fails with the first differences, to the bit. NaNs of query answers in JSON have lost their
// payload: sameNaN takes them all for one.
func requireEqual(t *testing.T, what string, want, got contents, sameNaN bool) {
	t.Helper()
	var diffs []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if d := difference(want[key], got[key], sameNaN); d != "" {
			diffs = append(diffs, key+": "+d)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			diffs = append(diffs, fmt.Sprintf("%s: %d samples of a series that Prometheus does not have", key, len(got[key])))
		}
	}
	if len(diffs) > 0 {
		t.Errorf("%s: %d of %d series differ:\n%s", what, len(diffs), len(want), strings.Join(diffs[:min(len(diffs), 10)], "\n"))
	}
}

func difference(want, got []point, sameNaN bool) string {
	normal := func(bits uint64) uint64 {
		if sameNaN && math.IsNaN(math.Float64frombits(bits)) {
			return math.Float64bits(math.NaN())
		}
		return bits
	}
	for i := range min(len(want), len(got)) {
		w, g := want[i], got[i]
		if w.t != g.t || normal(w.bits) != normal(g.bits) {
			return fmt.Sprintf("sample %d is %d %#x (%v), want %d %#x (%v)", i, g.t, g.bits, math.Float64frombits(g.bits), w.t, w.bits, math.Float64frombits(w.bits))
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%d samples, want %d", len(got), len(want))
	}
	return ""
}
