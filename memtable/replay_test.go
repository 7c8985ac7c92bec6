package memtable

import (
	"errors"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// TestReplay: what was logged comes back whatever the limits are now, and Resolve finds the series that Define made.
func TestReplay(t *testing.T) {
	table := New(&Options{MaxSeries: 1, MaxDays: 1}, nil)
	var known []uint32
	var b model.Batch
	for k, name := range []string{"a", "b", "a"} {
		s, err := table.Define("t", labels.FromStrings("__name__", name))
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, s)
		b.Series = append(b.Series, model.BatchSeries{First: int32(k), Count: 1})
		b.Samples = append(b.Samples, model.Sample{T: int64(k) * model.MsPerDay, V: float64(k)})
	}
	if known[0] != known[2] || known[0] == known[1] {
		t.Fatal("Define does not find a series by its labels")
	}
	var res Resolved
	table.ResolveKnown("t", &b, known, &res)
	table.Append(&b, &res)
	if got := table.Stats(); got.Samples != 3 || got.Series != 2 {
		t.Fatalf("stats %+v, want 3 samples of 2 series", got)
	}
	if days := table.Days(); len(days) != 3 || days[2].Samples != 1 {
		t.Fatalf("days %+v, want 3", days)
	}
	if _, err := table.Define("t", labels.EmptyLabels()); !errors.Is(err, model.ErrCorrupt) {
		t.Fatalf("no labels: %v, want corrupt", err)
	}
}
