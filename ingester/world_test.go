package ingester

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	randv2 "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// world is a bucket that processes share, a clock, and what clients were told.
type world struct {
	t      testing.TB
	bucket *mem.Driver
	nowMs  int64
	oracle oracle
	mu     sync.Mutex // guards oracle where requests are concurrent
	seed   int64
	rand   *rand.Rand
}

func newWorld(t testing.TB, seed int64) *world {
	return &world{
		t: t, bucket: mem.New(), nowMs: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC).UnixMilli(),
		oracle: oracle{}, seed: seed, rand: rand.New(rand.NewSource(seed)),
	}
}

func (w *world) now() time.Time { return time.UnixMilli(w.nowMs) }

// process is one process's way to the bucket, which may fail, and its disk.
type process struct {
	fs     *memfs.FS
	faults *faultblob.Driver
	c      Components
}

// Now and Sleep make a process a blob.Clock whose waits take no time.
type clock struct{ w *world }

func (c clock) Now() time.Time { return c.w.now() }
func (c clock) Sleep(ctx context.Context, d time.Duration) error {
	return ctx.Err()
}

func (w *world) process(fs *memfs.FS) *process {
	p := &process{fs: fs, faults: faultblob.Wrap(w.bucket)}
	b := blob.New(p.faults, &blob.Options{
		MaxInFlight: 1, Retries: 2, Clock: clock{w}, Rand: randv2.New(randv2.NewPCG(uint64(w.seed), 1)),
	})
	random := rand.New(rand.NewSource(w.rand.Int63()))
	cat := catalog.New(b, nil, catalog.Components{Rand: random, Now: w.now, Sleep: clock{w}.Sleep})
	p.c = Components{FS: fs, Dir: "data", Bucket: b, Catalog: cat, Now: w.now, Sleep: clock{w}.Sleep, Rand: random}
	return p
}

// config is that of the simulator: no goroutines, no waiting.
func config() Config {
	return Config{FlushParallel: 1, ObjectBatch: -1, SegmentBytes: 4 << 10, SegmentGrace: time.Hour, SkipProbe: true}
}

func (w *world) open(p *process, cfg Config) *Ingester {
	w.t.Helper()
	i, err := Open(context.Background(), cfg, p.c)
	if err != nil {
		w.t.Fatalf("seed %d: open: %v", w.seed, err)
	}
	return i
}

// textLabels is the decoder of the tests: keys are name=value pairs with NUL between.
type textLabels struct{}

func (textLabels) Name() string { return "text" }

func (textLabels) Decode(key []byte, b *labels.ScratchBuilder) error {
	for _, kv := range strings.Split(string(key), "\x00") {
		name, value, ok := strings.Cut(kv, "=")
		if !ok {
			return fmt.Errorf("label %q: %w", kv, model.ErrInvalid)
		}
		b.Add(name, value)
	}
	return nil
}

// sample is one sample of one series of one tenant, as clients send it.
type sample struct {
	tenant, series string
	t              int64
}

// outcome is what the oracle knows of one sample.
type outcome struct {
	acked bool
	// value is the last acknowledged one, maybe those that were sent after it and not acknowledged.
	value float64
	maybe []float64
}

type oracle map[sample]*outcome

// send appends values of one tenant and tells the oracle what came of it.
func (w *world) send(i *Ingester, tenant string, values map[string][]model.Sample) error {
	b := &model.Batch{Labels: textLabels{}}
	for _, name := range sortedKeys(values) {
		key := "__name__=" + name + "\x00job=x"
		b.Series = append(b.Series, model.BatchSeries{Key: []byte(key), First: int32(len(b.Samples)), Count: int32(len(values[name]))})
		b.Samples = append(b.Samples, values[name]...)
	}
	_, err := i.Append(context.Background(), tenant, b)
	for name, samples := range values {
		for _, s := range samples {
			k := sample{tenant, name, s.T}
			o := w.oracle[k]
			if o == nil {
				o = &outcome{}
				w.oracle[k] = o
			}
			if err == nil {
				*o = outcome{acked: true, value: s.V}
			} else {
				o.maybe = append(o.maybe, s.V)
			}
		}
	}
	return err
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// found is what reading back gives: the value that wins, and in how many places the sample lies.
type found struct {
	value  float64
	places int
}

var everything = model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}

// readBack reads all catalogs and blocks through p, then the sources, the newest last.
func (w *world) readBack(p *process, tenants []string, sources ...*Ingester) map[sample]found {
	w.t.Helper()
	ctx := context.Background()
	out := map[sample]found{}
	for _, tenant := range tenants {
		take := func(sel *model.Selection, err error, place string) {
			w.t.Helper()
			if err != nil {
				w.t.Fatalf("seed %d: read back %s: %v", w.seed, place, err)
			}
			defer sel.Close()
			for _, s := range sel.Series {
				var c model.Columns
				if err := s.Samples(&c, everything); err != nil {
					w.t.Fatalf("seed %d: read back %s: %v", w.seed, place, err)
				}
				for k, t := range c.T {
					key := sample{tenant, s.Labels().Get("__name__"), t}
					out[key] = found{c.V[k], out[key].places + 1}
				}
			}
		}
		root, err := p.c.Catalog.Root(ctx, tenant, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, day := range root.Days {
			part, err := p.c.Catalog.Partition(ctx, tenant, day, nil)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, e := range part.Blocks {
				sel, err := blocks.Select(ctx, blocks.Stored{Bucket: p.c.Bucket}, e.Meta, &blocks.Query{Range: everything})
				take(sel, err, "block "+e.ID)
			}
		}
		for _, s := range sources {
			sel, err := s.Select(ctx, tenant, everything, nil)
			take(sel, err, "memory of "+s.Writer())
		}
	}
	return out
}

var tenants = []string{"a", "b"}

// check compares what is read back with the oracle: all that was acknowledged, with the last value; nothing that was never sent. With once, nothing
// in two places, for samples that were sent once.
func (w *world) check(what string, got map[sample]found, once bool) {
	w.t.Helper()
	for k, o := range w.oracle {
		g, ok := got[k]
		switch {
		case !ok && o.acked:
			w.t.Fatalf("seed %d: %s: %v was acknowledged with %v and is lost", w.seed, what, k, o.value)
		case !ok:
		case g.value != o.value && !slices.Contains(o.maybe, g.value), !o.acked && !slices.Contains(o.maybe, g.value):
			w.t.Fatalf("seed %d: %s: %v is %v, want %v or one of %v", w.seed, what, k, g.value, o.value, o.maybe)
		case once && g.places != 1 && !strings.HasPrefix(k.series, "over"):
			w.t.Fatalf("seed %d: %s: %v lies in %d places", w.seed, what, k, g.places)
		}
	}
	for k := range got {
		if w.oracle[k] == nil {
			w.t.Fatalf("seed %d: %s: %v was never sent", w.seed, what, k)
		}
	}
}

// batch makes the values of one request: two days, several series, out of order, one series whose sample is overwritten each time.
func (w *world) batch(n int) map[string][]model.Sample {
	base := w.nowMs + int64(n)*1000
	v := float64(n)
	return map[string][]model.Sample{
		"up":                     {{T: base, V: v}, {T: base - 500, V: v + 0.5}},
		fmt.Sprintf("m%d", n%3):  {{T: base + model.MsPerDay, V: v}},
		fmt.Sprintf("new_%d", n): {{T: base, V: -v}},
		"over":                   {{T: w.nowMs, V: v}},
	}
}

// sendBoth sends batch n for tenant a, and a part of it for b.
func (w *world) sendBoth(i *Ingester, n int) error {
	b := w.batch(n)
	return errors.Join(w.send(i, "a", b), w.send(i, "b", map[string][]model.Sample{"up": b["up"]}))
}

// settle flushes everything through a process without faults and checks the catalog alone.
func (w *world) settle(what string, fs *memfs.FS, cfg Config) {
	w.t.Helper()
	ctx := context.Background()
	p := w.process(fs)
	i := w.open(p, cfg)
	w.check(what+", reopened", w.readBack(p, tenants, i), false)
	if err := w.sendBoth(i, 1000); err != nil {
		w.t.Fatalf("seed %d: %s: append after restart: %v", w.seed, what, err)
	}
	w.check(what+", appended", w.readBack(p, tenants, i), false)
	if err := i.Flush(ctx); err != nil {
		w.t.Fatalf("seed %d: %s: flush after restart: %v", w.seed, what, err)
	}
	w.check(what+", flushed", w.readBack(p, tenants), true)
	if err := i.Close(ctx); err != nil {
		w.t.Fatalf("seed %d: %s: close: %v", w.seed, what, err)
	}
	w.noTrace(what, fs, i)
}

// noTrace checks that a clean end leaves neither log nor blocks behind.
func (w *world) noTrace(what string, fs *memfs.FS, i *Ingester) {
	w.t.Helper()
	for _, dir := range []string{"data/wal/" + i.Writer(), "data/blocks/" + i.Writer()} {
		entries, err := fs.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, gen := range entries {
			files, err := fs.ReadDir(dir + "/" + gen.Name())
			if err == nil && len(files) > 0 {
				w.t.Fatalf("seed %d: %s: %s/%s is left after everything was committed", w.seed, what, dir, gen.Name())
			}
		}
	}
}

// seedReader is randomness for ids that differ from process to process.
func seedReader(n uint64) io.Reader {
	var s [32]byte
	binary.LittleEndian.PutUint64(s[:], n)
	return randv2.NewChaCha8(s)
}
