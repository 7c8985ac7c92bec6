package ingester

import (
	"context"
	"fmt"
	"testing"

	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// TestNames: generations share the names of series, until most of those are gone or they take too much of the memory.
func TestNames(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	i := w.open(w.process(memfs.New()), config())
	write := func() {
		t.Helper()
		for k := range 10 {
			if _, err := i.Append(ctx, "a", one(fmt.Sprintf("s%d", k), 1, 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	rotate := func() {
		t.Helper()
		if err := i.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
	}
	first := i.names.Load()
	write()
	rotate()
	write()
	rotate()
	if i.names.Load() != first || first.Len() != 10 {
		t.Fatalf("%d names, want the same 10 in all generations", first.Len())
	}
	write()
	i.cfg.MemoryBytes = first.Bytes()
	rotate()
	if i.names.Load() == first {
		t.Fatal("names that take the memory are kept")
	}
	for range 2 {
		if ok, err := i.BuildStep(ctx); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	held := i.Status().MemoryBytes
	if _, err := i.BuildStep(ctx); err != nil {
		t.Fatal(err)
	}
	if now := i.Status().MemoryBytes; now >= held {
		t.Fatalf("%d bytes of memory when the last table of old names is built, %d before", now, held)
	}
}

// TestNamesOfTheGone: series that come and go do not add up, generation after generation, and those that stay are found again.
func TestNamesOfTheGone(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	i := w.open(w.process(memfs.New()), config())
	const perGeneration = minNames / 4
	for gen := range 20 {
		b := &model.Batch{Labels: textLabels{}}
		for k := range perGeneration {
			name := fmt.Sprintf("__name__=s%d", k)
			if k >= perGeneration/4 {
				name = fmt.Sprintf("%s_%d", name, gen)
			}
			b.Series = append(b.Series, model.BatchSeries{Key: []byte(name), First: int32(k), Count: 1})
			b.Samples = append(b.Samples, model.Sample{T: int64(gen), V: 1})
		}
		if _, err := i.Append(ctx, "a", b); err != nil {
			t.Fatal(err)
		}
		if n := i.names.Load().Len(); n > minNames+perGeneration {
			t.Fatalf("%d names in generation %d, which has %d series", n, gen, perGeneration)
		}
		if err := i.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := i.BuildStep(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNamesOfExemplars: a series with exemplars has two names. They are no reason to begin anew, and a batch of metadata alone is a generation worth building.
func TestNamesOfExemplars(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	i := w.open(w.process(memfs.New()), config())
	const n = minNames/2 + 100
	first := i.names.Load()
	for range 2 {
		b := &model.Batch{Labels: textLabels{}}
		for k := range n {
			key := fmt.Appendf(nil, "__name__=s%d", k)
			b.Series = append(b.Series, model.BatchSeries{Key: key, First: int32(k), Count: 1})
			b.Samples = append(b.Samples, model.Sample{T: 1, V: 1})
			b.Exemplars = append(b.Exemplars, model.ExemplarRow{Key: key, T: 1, Count: 1, Row: model.AppendExemplar(model.BeginExemplars(nil), 1, 0)})
		}
		b.Metadata = append(b.Metadata, model.MetadataRow{Metric: []byte("s"), Row: model.AppendMetadata(nil, 1, "", "help")})
		r, err := i.Append(ctx, "a", b)
		if err != nil || r.Exemplars != n || r.DroppedExemplars+r.DroppedMetadata > 0 {
			t.Fatal(r, err)
		}
		if err := i.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := i.BuildStep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if i.names.Load() != first {
		t.Fatal("names were dropped though all of them are in use")
	}
	b := &model.Batch{Labels: textLabels{}, Metadata: []model.MetadataRow{{Metric: []byte("t"), Row: model.AppendMetadata(nil, 1, "", "alone")}}}
	if _, err := i.Append(ctx, "a", b); err != nil {
		t.Fatal(err)
	}
	if err := i.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	if ok, err := i.BuildStep(ctx); !ok || err != nil {
		t.Fatal("nothing is built of a generation that has metadata only", err)
	}
}
