package own

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// Options are the tunables of Open; nil means defaults.
type Options struct {
	// Snapshot is the name of the snapshot to read; "" is the present.
	Snapshot string
	// Matchers, if given, are what Want asks for, so that not all of a day has to be read for a few series. Series that do not match may still be asked of Want.
	Matchers []*labels.Matcher
	// Rows: series of Varve's own are handed out too, exemplars and metadata (model.Reserved). They come first in a day.
	Rows bool
	// NoLogs leaves the logs of writers alone: what is in no block is not read, and not named.
	NoLogs bool
	// ReadBytes bounds what is held of the blocks of a day. Default 32 MiB.
	ReadBytes int64
	// TempDir and SortBytes are for the logs, see migrate.Config.
	TempDir   string
	SortBytes int64
}

// Source is a tenant of a bucket as a source. Close it; bucket and catalog stay the caller's.
type Source struct {
	bucket  *blob.Bucket
	catalog *catalog.Store
	tenant  string
	opts    Options
	skips   *migrate.Skips

	// root and snapshot are set by Days, and so is log: what is in no block, nil if there is none.
	root     *catalog.Root
	snapshot *catalog.Snapshot
	log      *shippedLogs
	// silent: there is a writer that does not ship its log.
	silent bool

	mu  sync.Mutex        // guards bad
	bad map[string]*fault // by id, of blocks that cannot be read
}

var _ migrate.Source = (*Source)(nil)

// Open returns the source of a tenant. It reads nothing yet. Bucket and catalog are of the same bucket; what cannot be read goes to skips.
func Open(b *blob.Bucket, c *catalog.Store, tenantName string, skips *migrate.Skips, o *Options) (*Source, error) {
	s := &Source{bucket: b, catalog: c, tenant: tenantName, skips: skips, bad: map[string]*fault{}}
	if o != nil {
		s.opts = *o
	}
	if s.opts.SortBytes <= 0 {
		s.opts.SortBytes = migrate.DefaultSortBytes
	}
	if err := tenant.Check(tenantName); err != nil {
		return nil, fmt.Errorf("source tenant %w", err)
	}
	if s.opts.Snapshot != "" {
		if err := catalog.CheckSnapshotName(s.opts.Snapshot); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// dayReads is how many catalogs are read at one time.
const dayReads = 16

// Days implements migrate.Source. It reads the roster and the logs, then the catalogs of the range.
func (s *Source) Days(ctx context.Context, r model.TimeRange, want migrate.Want) ([]migrate.Extent, error) {
	extents, err := s.days(ctx, r, want)
	if err != nil {
		return nil, fmt.Errorf("read tenant %s: %w", s.tenant, err)
	}
	return extents, nil
}

func (s *Source) days(ctx context.Context, r model.TimeRange, want migrate.Want) ([]migrate.Extent, error) {
	// The roster comes before the catalogs: what its writers had released by then is in them.
	var roster *catalog.Roster
	var err error
	if s.opts.Snapshot == "" && !s.opts.NoLogs {
		if roster, err = s.catalog.Roster(ctx, nil); err != nil {
			return nil, err
		}
	}
	if s.root, err = s.catalog.Root(ctx, s.tenant, nil); err != nil {
		return nil, err
	}
	if s.root.GravestoneMs != 0 {
		return nil, catalog.ErrGravestone
	}
	if s.opts.Snapshot != "" {
		if err := s.openSnapshot(ctx); err != nil {
			return nil, err
		}
	}
	if roster != nil {
		if s.log, err = s.readLogs(ctx, roster, r, want); err != nil {
			return nil, err
		}
	}
	if s.root.Missing && s.log == nil && !s.silent {
		return nil, fmt.Errorf("there is no such tenant in the bucket: %w", model.ErrNotFound)
	}
	return s.extents(ctx, r)
}

func (s *Source) openSnapshot(ctx context.Context) error {
	ref, err := s.root.Snapshot(s.opts.Snapshot)
	if err != nil {
		return err
	}
	s.snapshot, err = s.catalog.OpenSnapshot(ctx, s.tenant, ref)
	return err
}

// extents reads the catalogs of the range, a few at a time, and keeps what a job has to know of them.
func (s *Source) extents(ctx context.Context, r model.TimeRange) ([]migrate.Extent, error) {
	var days []model.Day
	if s.snapshot != nil {
		for i := range s.snapshot.Days {
			days = append(days, s.snapshot.Days[i].Day)
		}
	} else {
		days = s.root.Days
	}
	var mu sync.Mutex // guards found
	found := map[model.Day]*migrate.Extent{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(dayReads)
	for _, day := range days {
		if !day.Range().Overlaps(r) {
			continue
		}
		g.Go(func() error {
			p, err := s.partition(gctx, day)
			if err != nil || p == nil {
				return err
			}
			e, err := s.extent(p, r)
			if err != nil || e == nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			found[day] = e
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	s.log.extents(found)
	return migrate.InOrder(found), nil
}

// partition reads what there is of a day; nil is nothing.
func (s *Source) partition(ctx context.Context, day model.Day) (*catalog.Partition, error) {
	if s.snapshot != nil {
		return s.catalog.SnapshotDay(ctx, s.snapshot, day)
	}
	v, err := s.catalog.View(ctx, s.tenant, day.Range(), catalog.Known(s.tenant, s.root, nil))
	switch {
	case err != nil:
		return nil, err
	case v.Root.GravestoneMs != 0:
		return nil, catalog.ErrGravestone
	case len(v.Partitions) == 0:
		return nil, nil
	}
	return v.Partitions[0], nil
}

// Series implements migrate.Source.
func (s *Source) Series(ctx context.Context, r model.TimeRange, want migrate.Want) iter.Seq2[model.Series, error] {
	w := &walk{s: s, day: model.DayOf(r.MinMs), r: r, want: want}
	if s.log == nil || !s.log.has(w.day) {
		return w.series(ctx)
	}
	// The log lies over all blocks.
	return spill.Merged(ctx, []iter.Seq2[model.Series, error]{w.series(ctx), s.log.series(ctx, w.day)}, spill.LastWins)
}

// wants asks want for a series, and for one of Varve's own by the series or the metric that it is about. Metadata is of a metric, so only the name of the metric decides over it.
func (s *Source) wants(want migrate.Want, ls labels.Labels) bool {
	if !model.Reserved(ls) {
		return want(ls)
	}
	if !s.opts.Rows {
		return false
	}
	if of, ok := model.ExemplarsOf(ls); ok {
		return want(of)
	}
	metric, ok := model.MetadataOf(ls)
	if !ok {
		return false
	}
	if s.opts.Matchers == nil {
		return want(labels.FromStrings(index.MetricName, metric))
	}
	for _, m := range s.opts.Matchers {
		if m.Name == index.MetricName && !m.Matches(metric) {
			return false
		}
	}
	return true
}

// damaged notes that a block is damaged. It reports false if as much was known.
func (s *Source) damaged(id string, f *fault) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.bad[id]; was != nil && (was.whole || !f.whole) {
		return false
	}
	s.bad[id] = f
	return true
}

// faultOf is what is known to be wrong with a block, nil if nothing is.
func (s *Source) faultOf(id string) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bad[id]
}

// Close implements migrate.Source.
func (s *Source) Close() error {
	var errs []error
	if s.log != nil {
		errs = append(errs, s.log.close())
	}
	s.log = nil
	return errors.Join(errs...)
}
