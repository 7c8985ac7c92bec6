package ingester

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/model"
)

// Mode says when a write is acknowledged.
type Mode string

const (
	// ModeFsync acknowledges after the group-committed fsync of the local log.
	ModeFsync Mode = "fsync"
	// ModeObject acknowledges when the segment and every earlier one are in the bucket.
	ModeObject Mode = "object"
)

// Shipping says whether the log is copied to the bucket.
type Shipping string

const (
	// ShippingAuto ships except to a bucket on the local disk, which is no safer than the data directory.
	ShippingAuto Shipping = ""
	// ShippingOn always ships.
	ShippingOn Shipping = "on"
	// ShippingOff never ships. A data directory that has shipped before goes on shipping all the same:
	// somebody may have put a fence into its log, and only the next segment's key tells. ModeObject ships too.
	ShippingOff Shipping = "off"
)

// Config are the settings of an Ingester. The zero value means all defaults.
type Config struct {
	// Address is where other processes reach this one's recent samples (host:port), for the roster. "" if they cannot.
	Address string
	// Mode is the durability mode. Default ModeFsync.
	Mode Mode
	// Shipping is whether the log goes to the bucket. Default ShippingAuto.
	Shipping Shipping
	// Replaces are ids of dead writers that this one adopts when it runs (Run, AdoptStep).
	Replaces []string

	// ShipInterval is how often a log that is not empty is shipped. Default 5 s.
	ShipInterval time.Duration
	// SegmentBytes is the size at which a segment is closed, and so shipped. Default 8 MiB.
	SegmentBytes int64
	// ObjectBatch is how long ModeObject gathers writes before it ships them. Default 250 ms, negative means not at all.
	ObjectBatch time.Duration
	// Memtable holds the limits of series, labels and days per tenant and generation.
	Memtable memtable.Options
	// RotateAfter is the longest life of a generation. Default 2 h; 5 min with DetachedReaders.
	RotateAfter time.Duration
	// GenerationBytes is the size of memtable or log at which a generation ends early. Default a third of MemoryBytes; 32 MiB of log
	// with DetachedReaders.
	GenerationBytes int64
	// DetachedReaders keeps generations short, for queriers that read the tails of logs from the bucket.
	DetachedReaders bool
	// MemoryBytes bounds what all memtables may hold; beyond it writes are refused. Default 1 GiB.
	MemoryBytes int64
	// MaxInFlightBytes bounds the requests that are being appended at one time. Default 256 MiB.
	MaxInFlightBytes int64
	// MaxUnshippedBytes bounds the log that ModeObject may hold back while the bucket is away. Default 256 MiB.
	MaxUnshippedBytes int64
	// DiskBytes bounds the log and the blocks in the data directory, which grow while the bucket is away or too slow; beyond it writes are
	// refused until the bucket has taken some. The blocks of what is in memory then may come on top. 0 is no bound.
	DiskBytes int64
	// SegmentGrace is how long shipped segments outlive the release of their generation. Default 1 h.
	SegmentGrace time.Duration
	// FlushParallel is how many partitions are uploaded and committed at one time by Run, Flush and Close. Default 8; with 1 they start no goroutine for it.
	FlushParallel int
	// RetryFirst and RetryLongest bound the wait between tries of something that failed. Defaults 1 s and 1 min.
	RetryFirst, RetryLongest time.Duration
	// SkipProbe leaves out the start-up probe of the bucket, for callers that have probed it.
	SkipProbe bool
}

func (c Config) withDefaults() (Config, error) {
	if c.Mode == "" {
		c.Mode = ModeFsync
	}
	if c.Mode != ModeFsync && c.Mode != ModeObject {
		return c, fmt.Errorf("durability mode %q is not fsync or object: %w", c.Mode, model.ErrInvalid)
	}
	switch c.Shipping {
	case ShippingAuto, ShippingOn, ShippingOff:
	default:
		return c, fmt.Errorf("shipping %q is not on or off: %w", c.Shipping, model.ErrInvalid)
	}
	rotateAfter, generationBytes := 2*time.Hour, int64(0)
	if c.DetachedReaders {
		rotateAfter, generationBytes = 5*time.Minute, 32<<20
	}
	setDefault(&c.ShipInterval, 5*time.Second)
	setDefault(&c.SegmentBytes, 8<<20)
	setDefault(&c.ObjectBatch, 250*time.Millisecond)
	setDefault(&c.RotateAfter, rotateAfter)
	setDefault(&c.MemoryBytes, 1<<30)
	setDefault(&c.GenerationBytes, generationBytes)
	setDefault(&c.GenerationBytes, c.MemoryBytes/3)
	setDefault(&c.MaxInFlightBytes, 256<<20)
	setDefault(&c.MaxUnshippedBytes, 256<<20)
	setDefault(&c.SegmentGrace, time.Hour)
	setDefault(&c.FlushParallel, 8)
	setDefault(&c.RetryFirst, time.Second)
	setDefault(&c.RetryLongest, time.Minute)
	return c, nil
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// modeObject reports whether the mode is ModeObject.
func (c *Config) modeObject() bool { return c.Mode == ModeObject }

// ships says whether a writer ships, given that it has shipped before or not.
func (c *Config) ships(scheme string, before bool) bool {
	switch {
	case before, c.Mode == ModeObject, c.Shipping == ShippingOn:
		return true
	case c.Shipping == ShippingOff:
		return false
	}
	return scheme != "file"
}

// Components are what an Ingester works with. FS, Dir, Bucket and Catalog are required; the others, if nil, get the
// default in brackets.
type Components struct {
	FS  vfs.FS
	Dir string
	// Bucket and Catalog stay the caller's, who closes the bucket after Close.
	Bucket  *blob.Bucket
	Catalog *catalog.Store
	// Now is the clock [time.Now].
	Now func() time.Time
	// Sleep waits for d or until ctx ends, and returns ctx's error then [a timer].
	Sleep func(ctx context.Context, d time.Duration) error
	// Rand gives writer ids [crypto/rand]. Calls are serialized.
	Rand io.Reader
	// Logger [none].
	Logger *slog.Logger
	// Registerer takes the metrics [none].
	Registerer prometheus.Registerer
}

func (c Components) withDefaults() Components {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = blob.SystemClock{}.Sleep
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
