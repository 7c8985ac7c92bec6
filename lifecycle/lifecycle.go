package lifecycle

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// DefaultGrace is Config.Grace by default.
const DefaultGrace = time.Hour

// Config are the settings of a Lifecycle. The zero value means the defaults.
type Config struct {
	// Interval is the mean time between two looks at the bucket; each is up to a fifth earlier or later. Default 2 minutes.
	Interval time.Duration
	// Merge says when hot blocks are merged.
	Merge MergeSettings
	// Compact says when days are compacted to parquet.
	Compact CompactSettings
	// ReadBytes bounds what a merge holds of its inputs. Default 32 MiB.
	ReadBytes int64
	// Grace is how long the objects of retired blocks are kept: longer than anybody goes by an old catalog, plus the longest query. Default 1 hour.
	Grace time.Duration
	// EraseAfter is how long a tombstone waits for a merge that applies it in passing; then the blocks that it masks are written again by
	// themselves. Default 15 minutes, negative is at once.
	EraseAfter time.Duration
	// Orphans says when objects that no catalog names are deleted.
	Orphans OrphanSettings
	// Retention is how long raw samples of tenants are kept whose settings do not say. Default Forever.
	Retention Age
	// Rollups is how long rollups of tenants are kept whose settings do not say. Default "", which makes none.
	Rollups Age
	// ClaimFor is how long others leave a job alone; a worker prolongs its claim while it works. At most half of catalog.MaxClaimMs; default 10 minutes.
	ClaimFor time.Duration
	// Sequential starts no goroutine within a job, for tests that need a fixed order of calls.
	Sequential bool
}

func (c *Config) withDefaults() Config {
	r := *c
	if r.Interval <= 0 {
		r.Interval = 2 * time.Minute
	}
	if r.Grace <= 0 {
		r.Grace = DefaultGrace
	}
	if r.ClaimFor <= 0 {
		r.ClaimFor = 10 * time.Minute
	}
	r.ClaimFor = min(r.ClaimFor, catalog.MaxClaimMs/2*time.Millisecond)
	switch {
	case r.EraseAfter == 0:
		r.EraseAfter = 15 * time.Minute
	case r.EraseAfter < 0:
		r.EraseAfter = 0
	}
	r.Merge = r.Merge.withDefaults()
	r.Orphans = r.Orphans.withDefaults()
	r.Compact = r.Compact.withDefaults()
	return r
}

// Components are what a Lifecycle works with. Bucket and Catalog are required.
type Components struct {
	Bucket  *blob.Bucket
	Catalog *catalog.Store
	// Now is the clock [time.Now]. Nothing depends on clocks agreeing but how long a dead worker's claim keeps others waiting.
	Now func() time.Time
	// Sleep waits for d or until ctx ends, and returns ctx's error then [a timer].
	Sleep func(ctx context.Context, d time.Duration) error
	// Rand gives the worker's id and jitter [crypto/rand].
	Rand io.Reader
	// Logger gets what was done and what failed [none].
	Logger *slog.Logger
	// Registerer takes the metrics [none].
	Registerer prometheus.Registerer
	// Progress, if set, is called now and then while a job runs, by its goroutine.
	Progress func(Progress)
}

// Progress is how far a job is.
type Progress struct {
	Tenant string
	Day    model.Day
	Job    string
	// Done of Total bytes of the inputs.
	Done, Total int64
}

// Lifecycle is a worker: one job at a time, on any partition of the bucket. Any number of them may work on one bucket, in any number of
// processes. Once, Step and Run are not to be called concurrently.
type Lifecycle struct {
	cfg     Config
	c       Components
	holder  string
	metrics *metrics

	// seen is what is remembered of each partition, by the key of its catalog.
	seen map[string]*seen
	// hint is when CleanTombstones was called last, in ms.
	hint atomic.Int64
	// asked is when somebody asked all workers for the same, by the tenant, as the listing has it.
	asked map[string]time.Time
	// roster is as it was read last.
	roster *catalog.Roster
	// tenants is what is remembered of each tenant.
	tenants map[string]*tenantSeen
	// swept are the dropped ids whose objects this worker has deleted, and when.
	swept map[string]int64
	// planted are roots that collection goes by, by tenant: empty but for a planted bug.
	planted map[string]*catalog.Root
	// named are ids that snapshots name, by the snapshot's key and day.
	named map[string][]string
	// orphansMs is when the next look for orphans is due.
	orphansMs int64
	// released is what is known of writers, by their id.
	released map[string]released
}

// New returns a worker. It starts nothing.
func New(cfg *Config, c Components) (*Lifecycle, error) {
	l := &Lifecycle{c: c, asked: map[string]time.Time{}, seen: map[string]*seen{}, tenants: map[string]*tenantSeen{}, swept: map[string]int64{}, named: map[string][]string{}}
	if cfg != nil {
		l.cfg = *cfg
	}
	l.cfg = l.cfg.withDefaults()
	if _, err := ParseAge(string(l.cfg.Retention)); err != nil {
		return nil, fmt.Errorf("lifecycle: retention: %w", err)
	}
	if _, err := ParseAge(string(l.cfg.Rollups)); err != nil {
		return nil, fmt.Errorf("lifecycle: rollups: %w", err)
	}
	if l.c.Now == nil {
		l.c.Now = time.Now
	}
	if l.c.Sleep == nil {
		l.c.Sleep = blob.SystemClock{}.Sleep
	}
	if l.c.Rand == nil {
		l.c.Rand = rand.Reader
	}
	if l.c.Logger == nil {
		l.c.Logger = slog.New(slog.DiscardHandler)
	}
	id, err := l.random()
	if err != nil {
		return nil, fmt.Errorf("lifecycle: %w", err)
	}
	l.holder = hex.EncodeToString(binary.BigEndian.AppendUint64(nil, id))
	l.metrics = newMetrics(c.Registerer)
	return l, nil
}

func (l *Lifecycle) nowMs() int64 { return l.c.Now().UnixMilli() }

func (l *Lifecycle) random() (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(l.c.Rand, b[:]); err != nil {
		return 0, fmt.Errorf("read randomness: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// Run looks after the bucket until ctx ends, which is no error. Failures are logged, counted, and tried again with the next look.
func (l *Lifecycle) Run(ctx context.Context) error {
	wait := l.cfg.Interval / 2
	if err := l.orphansLater(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		d, err := l.jitter(wait)
		if err != nil {
			return err
		}
		if err := l.c.Sleep(ctx, d); err != nil {
			continue // ctx has ended
		}
		wait = l.cfg.Interval
		r, err := l.Once(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			l.c.Logger.Warn("lifecycle failed, trying again", "err", err)
		case len(r.Failures) > 0:
			l.c.Logger.Warn("lifecycle: some partitions failed, trying again", "failures", len(r.Failures), "first", r.Failures[0])
		}
	}
	return nil
}

// orphansLater puts off the next look for orphans.
func (l *Lifecycle) orphansLater() error {
	d, err := l.jitter(l.cfg.Orphans.Every)
	l.orphansMs = l.nowMs() + d.Milliseconds()
	return err
}

// jitter draws a time around the mean, up to a fifth away from it, so that workers that began together do not stay so.
func (l *Lifecycle) jitter(mean time.Duration) (time.Duration, error) {
	r, err := l.random()
	if err != nil {
		return 0, err
	}
	fifth := mean / 5
	return mean - fifth + time.Duration(r%uint64(2*fifth+1)), nil
}
