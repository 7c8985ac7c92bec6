package ingester

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// fixedSeries is a series with given samples.
type fixedSeries struct {
	labels labels.Labels
	c      model.Columns
}

func (s *fixedSeries) Labels() labels.Labels { return s.labels }

func (s *fixedSeries) Samples(dst *model.Columns, r model.TimeRange) error {
	for k, t := range s.c.T {
		if r.Contains(t) {
			appendAt(dst, &s.c, k)
		}
	}
	return nil
}

// TestMergeSelections compares merges of random selections with a map.
func TestMergeSelections(t *testing.T) {
	for seed := range int64(200) {
		rng := rand.New(rand.NewSource(seed))
		want := map[string]map[int64]float64{}
		histograms := map[string]map[int64]bool{}
		var newestFirst []*model.Selection
		released := 0
		for age := range rng.Intn(5) {
			sel := &model.Selection{Release: func() { released++ }}
			for _, name := range []string{"a", "b", "c", "d"} {
				if rng.Intn(2) == 0 {
					continue
				}
				s := &fixedSeries{labels: labels.FromStrings("__name__", name)}
				if want[name] == nil {
					want[name], histograms[name] = map[int64]float64{}, map[int64]bool{}
				}
				for ts := range int64(10) {
					if rng.Intn(2) == 0 {
						continue
					}
					v, isHistogram := float64(age*100)+float64(ts), rng.Intn(4) == 0
					if isHistogram {
						s.c.AppendHistogram(ts, []byte{byte(age)})
						v = 0
					} else {
						s.c.Append(ts, v)
					}
					if _, newer := want[name][ts]; !newer {
						want[name][ts], histograms[name][ts] = v, isHistogram
					}
				}
				sel.Series = append(sel.Series, s)
			}
			newestFirst = append(newestFirst, sel)
		}
		parts := len(newestFirst)
		merged := mergeSelections(newestFirst)
		if !slices.IsSortedFunc(merged.Series, func(a, b model.Series) int { return labels.Compare(a.Labels(), b.Labels()) }) || len(merged.Series) != len(want) {
			t.Fatalf("seed %d: %d series, want %d sorted ones", seed, len(merged.Series), len(want))
		}
		for _, s := range merged.Series {
			name := s.Labels().Get("__name__")
			var c model.Columns
			c.Append(-1, 5) // what is there already stays
			if err := s.Samples(&c, model.TimeRange{MinMs: 2, MaxMs: 8}); err != nil {
				t.Fatal(err)
			}
			if c.T[0] != -1 || !slices.IsSorted(c.T) {
				t.Fatalf("seed %d: %s: times %v", seed, name, c.T)
			}
			n := 0
			for ts, v := range want[name] {
				if ts < 2 || ts > 8 {
					continue
				}
				n++
				k, ok := slices.BinarySearch(c.T, ts)
				if !ok || c.V[k] != v || (c.H != nil && c.H[k] != nil) != histograms[name][ts] {
					t.Fatalf("seed %d: %s at %d: %v", seed, name, ts, c)
				}
			}
			if n != c.Len()-1 {
				t.Fatalf("seed %d: %s has %d samples, want %d", seed, name, c.Len()-1, n)
			}
		}
		merged.Close()
		if released != parts {
			t.Fatalf("seed %d: %d of %d selections closed", seed, released, parts)
		}
	}
}
