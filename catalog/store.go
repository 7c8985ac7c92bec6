package catalog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// Sizes of a catalog object.
const (
	// SoftLimitBytes is the size above which a merge is due.
	SoftLimitBytes = 512 << 10
	// HardLimitBytes is the size that no operation may grow a catalog beyond.
	HardLimitBytes = 4 << 20
)

// DroppedKeepMs is how long the id of a dropped block is refused.
const DroppedKeepMs = 7 * model.MsPerDay

// Bucket is what the catalog needs of a bucket; *blob.Bucket has it. ErrConflict and ErrUnavailable from a write both mean
// "perhaps".
type Bucket interface {
	Get(ctx context.Context, key string) ([]byte, blob.Version, error)
	GetIf(ctx context.Context, key string, since blob.Version) (data []byte, v blob.Version, modified bool, err error)
	PutIfAbsent(ctx context.Context, key string, data []byte) (blob.Version, error)
	PutIf(ctx context.Context, key string, data []byte, v blob.Version) (blob.Version, error)
	// What follows is for the objects of snapshots.
	GetFirst(ctx context.Context, key string, n int64) (data []byte, size int64, err error)
	GetRange(ctx context.Context, key string, off, n int64) ([]byte, error)
	Delete(ctx context.Context, keys ...string) error
}

// Options are the tunables of a Store.
type Options struct {
	// BackoffBase is the longest pause after a first lost race; it doubles with each further one. Default 10 ms.
	BackoffBase time.Duration
	// BackoffMax bounds the pause. Default 2 s.
	BackoffMax time.Duration
	// MaxAttempts bounds the writes of one commit. Default 500.
	MaxAttempts int
	// MaxUnavailable bounds the calls of one commit that the bucket did not answer, each of which blob has retried already. Default 3.
	MaxUnavailable int
	// Sequential makes View and Confirm read one object after another in the caller's goroutine, for tests that need a fixed order.
	Sequential bool
}

// Components are what a Store works with; nil fields get the default in brackets.
type Components struct {
	// Rand gives nonces and jitter [crypto/rand]. Calls are serialized.
	Rand io.Reader
	// Now is the clock of added, retired and dropped times [time.Now].
	Now func() time.Time
	// Sleep waits for d or until ctx ends, and returns ctx's error then [a timer].
	Sleep func(ctx context.Context, d time.Duration) error
	// Registerer takes the metrics [none].
	Registerer prometheus.Registerer
}

// Store reads and commits the catalogs, roots and the roster of one bucket. Safe for concurrent use.
type Store struct {
	bucket Bucket
	opts   Options
	c      Components

	randMu sync.Mutex // guards c.Rand

	conflicts, readBacks atomic.Int64
	metrics              metrics
	codec                *codec
}

// New returns a Store on the bucket. opts may be nil.
func New(b Bucket, opts *Options, c Components) *Store {
	s := &Store{bucket: b, c: c}
	if opts != nil {
		s.opts = *opts
	}
	s.opts.setDefaults()
	if s.c.Rand == nil {
		s.c.Rand = rand.Reader
	}
	if s.c.Now == nil {
		s.c.Now = time.Now
	}
	if s.c.Sleep == nil {
		s.c.Sleep = blob.SystemClock{}.Sleep
	}
	s.metrics = newMetrics(c.Registerer)
	s.codec = newCodec()
	return s
}

func (o *Options) setDefaults() {
	if o.BackoffBase <= 0 {
		o.BackoffBase = 10 * time.Millisecond
	}
	if o.BackoffMax <= 0 {
		o.BackoffMax = 2 * time.Second
	}
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = 500
	}
	if o.MaxUnavailable <= 0 {
		o.MaxUnavailable = 3
	}
}

// Partition reads the catalog of a partition. With prev it asks only for a change and returns prev itself if there is none. A missing
// catalog is no error but Missing; see View for what it means.
func (s *Store) Partition(ctx context.Context, tenant string, day model.Day, prev *Partition) (*Partition, error) {
	return read(ctx, s, partitionObject(tenant, day), prev)
}

// Root reads a tenant's root, like Partition. A store that answers 403 for it is an error (blob.IsDenied), not Missing.
func (s *Store) Root(ctx context.Context, tenant string, prev *Root) (*Root, error) {
	return mustRead(ctx, s, rootObject(tenant), prev)
}

// Roster reads the list of writers, like Root.
func (s *Store) Roster(ctx context.Context, prev *Roster) (*Roster, error) {
	return mustRead(ctx, s, rosterObject(), prev)
}

// Conflicts returns how many writes were refused because somebody else, or an earlier try of ours, was first.
func (s *Store) Conflicts() int64 { return s.conflicts.Load() }

// ReadBacks returns how many writes ended in doubt and were read back.
func (s *Store) ReadBacks() int64 { return s.readBacks.Load() }

func (s *Store) nowMs() int64 { return s.c.Now().UnixMilli() }

func (s *Store) random() (uint64, error) {
	s.randMu.Lock()
	defer s.randMu.Unlock()
	var b [8]byte
	if _, err := io.ReadFull(s.c.Rand, b[:]); err != nil {
		return 0, fmt.Errorf("read randomness: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}
