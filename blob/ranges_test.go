package blob

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestCoalesce(t *testing.T) {
	const kib = 1 << 10
	for _, c := range []struct {
		name   string
		ranges []Range
		want   string
	}{
		{"none", nil, "[]"},
		{"empty ones need no request", []Range{{5, 0}, {9, 0}}, "[]"},
		{"touching", []Range{{0, 10}, {10, 10}}, "[{0 20}]"},
		{"overlapping", []Range{{0, 10}, {5, 10}, {6, 2}}, "[{0 15}]"},
		{"equal", []Range{{3, 3}, {3, 3}}, "[{3 3}]"},
		{"small gap", []Range{{0, 1}, {1 + 64*kib, 1}}, fmt.Sprintf("[{0 %d}]", 64*kib+2)},
		{"gap just too big", []Range{{0, 1}, {2 + 64*kib, 1}}, fmt.Sprintf("[{0 1} {%d 1}]", 64*kib+2)},
		{"gap as big as the bytes before it", []Range{{0, 100 * kib}, {200 * kib, 1}}, fmt.Sprintf("[{0 %d}]", 200*kib+1)},
		{"gap as big as the bytes behind it", []Range{{0, 1}, {1 + 100*kib, 100 * kib}}, fmt.Sprintf("[{0 %d}]", 200*kib+1)},
		{"a byte pays once", []Range{{0, 1}, {1 + 100*kib, 100 * kib}, {1 + 300*kib, 1}}, fmt.Sprintf("[{0 %d} {%d 1}]", 200*kib+1, 300*kib+1)},
		{"any order", []Range{{1 << 20, 1}, {0, 1}}, "[{0 1} {1048576 1}]"},
	} {
		spans, _, err := coalesce(c.ranges)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]Range, len(spans))
		for i, s := range spans {
			got[i] = s.Range
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
}

// TestCoalesceBounds checks on random plans what the design promises of every one.
func TestCoalesceBounds(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		var ranges []Range
		for range r.IntN(40) {
			ranges = append(ranges, Range{r.Int64N(32 << 20), r.Int64N(1 << r.IntN(22))})
		}
		checkPlan(t, ranges)
	}
}

func checkPlan(t *testing.T, ranges []Range) {
	t.Helper()
	spans, needed, err := coalesce(ranges)
	if err != nil {
		t.Fatal(err)
	}
	var fetched, small int64
	served := map[int]bool{}
	for i, s := range spans {
		if i > 0 && s.Offset-spans[i-1].end() <= maxFreeGap {
			t.Fatalf("%v: requests %v and %v leave a small gap", ranges, spans[i-1].Range, s.Range)
		}
		fetched += s.Length
		small += int64(len(s.ranges)-1) * maxFreeGap
		for _, i := range s.ranges {
			served[i] = true
			if ranges[i].Offset < s.Offset || ranges[i].end() > s.end() {
				t.Fatalf("range %v is not within its request %v", ranges[i], s.Range)
			}
		}
	}
	for i, r := range ranges {
		if r.Length > 0 && !served[i] {
			t.Fatalf("range %v has no request", r)
		}
	}
	if fetched > 2*needed+small {
		t.Fatalf("%v: fetches %d bytes for %d needed", ranges, fetched, needed)
	}
}

func FuzzCoalesce(f *testing.F) {
	f.Add(int64(0), int64(10), int64(20), int64(10), int64(-1), int64(5))
	f.Add(int64(1)<<62, int64(1)<<62, int64(0), int64(1)<<62, int64(7), int64(0))
	f.Fuzz(func(t *testing.T, a, an, b, bn, c, cn int64) {
		ranges := []Range{{a, an}, {b, bn}, {c, cn}}
		for _, r := range ranges {
			if r.check() != nil {
				if _, _, err := coalesce(ranges); err == nil {
					t.Fatalf("took the impossible range %v", r)
				}
				return
			}
		}
		if _, _, err := coalesce(ranges); err != nil {
			t.Fatal(err)
		}
	})
}
