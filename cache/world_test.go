package cache

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// store is a bucket in memory that counts.
type store struct {
	mu       sync.Mutex
	objects  map[string][]byte
	requests int
	bytes    int64
	ranges   []blob.Range
	// before, if set, sees each read first.
	before func(ctx context.Context, key string) error
}

func (s *store) ReadRanges(ctx context.Context, key string, ranges []blob.Range, _ *blob.ReadOptions) ([][]byte, error) {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, key); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.objects[key]
	if !ok {
		return nil, fmt.Errorf("get %s: %w", key, model.ErrNotFound)
	}
	out := make([][]byte, len(ranges))
	for i, r := range ranges {
		out[i] = b[r.Offset : r.Offset+r.Length : r.Offset+r.Length]
		s.requests++
		s.bytes += r.Length
	}
	s.ranges = append(s.ranges, ranges...)
	return out, nil
}

// took returns what was read since the last call.
func (s *store) took() (requests int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, bytes = s.requests, s.bytes
	s.requests, s.bytes, s.ranges = 0, 0, nil
	return requests, bytes
}

// tail of the objects, whose last byte their checksums leave out.
const tail = 12

// object makes one of noise.
func (s *store) object(key string, size int) *Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(len(s.objects))}).Read(b)
	s.objects[key] = b
	sum := func(crc uint32, tail []byte) uint32 { return crc32.Update(crc, castagnoli(), tail[:len(tail)-1]) }
	return &Object{Key: key, Size: int64(size), CRC: crc32.Checksum(b[:size-1], castagnoli()), Tail: min(tail, int64(size)), SumTail: sum}
}

// world is a Bucket over a store.
type world struct {
	*Bucket
	t       *testing.T
	store   *store
	metrics *Metrics
	log     bytes.Buffer
	now     time.Time
}

const dir = "/cache"

func newWorld(t *testing.T, fsys vfs.FS, opts BucketOptions) *world {
	w := &world{t: t, store: &store{objects: map[string][]byte{}}}
	w.open(fsys, opts)
	return w
}

// open makes a new Bucket over the same store, as a process that starts.
func (w *world) open(fsys vfs.FS, opts BucketOptions) {
	w.metrics = NewMetrics(nil)
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	b, err := NewBucket(&opts, Components{From: w.store, FS: fsys, Now: func() time.Time { return w.now }, Logger: log, Metrics: w.metrics})
	require.NoError(w.t, err)
	w.Bucket = b
}

func rg(off, n int64) blob.Range { return blob.Range{Offset: off, Length: n} }

// check reads the ranges and compares them with the object.
func (w *world) check(o *Object, ranges ...blob.Range) {
	w.t.Helper()
	got, err := w.Read(w.t.Context(), o, ranges)
	require.NoError(w.t, err)
	w.same(o, got, ranges)
}

func (w *world) same(o *Object, got [][]byte, ranges []blob.Range) {
	w.t.Helper()
	require.Len(w.t, got, len(ranges))
	for i, r := range ranges {
		require.True(w.t, bytes.Equal(w.store.objects[o.Key][r.Offset:r.Offset+r.Length], got[i]), "range %d: %v", i, r)
		require.Equal(w.t, len(got[i]), cap(got[i]))
	}
}

// copied reads enough of the object that a copy is due, and makes it.
func (w *world) copied(o *Object) {
	w.t.Helper()
	for range 1 + o.Size/requestBytes {
		w.check(o, rg(0, o.Size))
	}
	w.Drain(w.t.Context())
	w.store.took()
	require.True(w.t, w.Has(o, rg(0, o.Size)))
}

// free reads all of the object and fails if that took a request.
func (w *world) free(o *Object) {
	w.t.Helper()
	w.store.took()
	w.check(o, rg(0, o.Size))
	n, _ := w.store.took()
	require.Zero(w.t, n, "requests")
}

// faults is how many copies were dropped for the reason.
func (w *world) faults(reason string) int {
	return int(testutil.ToFloat64(w.metrics.faults.WithLabelValues(reason)))
}

// files are the names in the directory but for the lock.
func files(t *testing.T, fsys vfs.FS, dir string) (names []string) {
	entries, err := fsys.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names
}

func lines(log, with string) (n int) {
	for l := range strings.Lines(log) {
		if strings.Contains(l, with) {
			n++
		}
	}
	return n
}
