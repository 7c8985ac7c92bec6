package catalog

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/dir"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// seeded is a Components.Rand that repeats itself.
type seeded struct{ r *rand.ChaCha8 }

func newSeeded(seed byte) io.Reader { return seeded{rand.NewChaCha8([32]byte{seed})} }

func (s seeded) Read(p []byte) (int, error) { return s.r.Read(p) }

// clock is a time that moves only by sleeping.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept int
}

func newClock() *clock { return &clock{now: time.UnixMilli(1_700_000_000_000)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept++
	return ctx.Err()
}

// bucketOf is a bucket that makes each call once, so that the store sees every fault.
func bucketOf(d blob.Driver) *blob.Bucket {
	return blob.New(d, &blob.Options{Retries: -1, MaxInFlight: 1})
}

func newStore(d blob.Driver, seed byte) (*Store, *clock) {
	c := newClock()
	return New(bucketOf(d), nil, Components{Rand: newSeeded(seed), Now: c.Now, Sleep: c.Sleep}), c
}

func drivers(t *testing.T) map[string]blob.Driver {
	d, err := dir.New(vfs.OS{}, t.TempDir())
	require.NoError(t, err)
	return map[string]blob.Driver{"mem": mem.New(), "dir": d}
}

const testDay = model.Day(19676) // 2023-11-15

func meta(id, writer string, gen uint64) *blocks.Meta {
	r := testDay.Range()
	return &blocks.Meta{
		ID: id, Format: blocks.Native, Tenant: "t", Day: testDay, MinT: r.MinMs + 5, MaxT: r.MinMs + 5000,
		Size: 1000, CRC: 7, Series: 2, Samples: 30, Writer: writer, Generation: gen, CreatedMs: 1_700_000_000_000,
	}
}

func add(writer string, gen uint64) Add {
	return Add{Writer: writer, Generation: gen, Meta: meta(blocks.ID(writer, gen, "t", testDay, 0), writer, gen)}
}

func bucketParallel(d blob.Driver) *blob.Bucket { return blob.New(d, &blob.Options{Retries: -1}) }
