package bucketed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/prom"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// Options are the tunables of a Source; nil means defaults.
type Options struct {
	// Name is what the bucket is called in messages, without secrets. Default its scheme.
	Name string
	// Tenant is the directory that the blocks lie in. Mimir and Cortex have one for each tenant. Default none.
	Tenant string
	// NoExternalLabels leaves the external labels of blocks away, as Mimir does.
	NoExternalLabels bool
	// ReplicaLabels are taken away from series; those that then have the same labels are copies of one by several replicas, and Dedup says how one is made of them. Default none: they
	// stay apart.
	ReplicaLabels []string
	Dedup         Dedup
	// TempDir is where blocks are fetched to. Default that of the system.
	TempDir string
	// Parallel is how many days are read at one time, see migrate.Config: blocks are kept here for so many days more. Default 2.
	Parallel int
	// Estimate lets days say what meta.json tells of them, for dry runs that fetch nothing.
	Estimate bool

	metasAtOnce, filesAtOnce int
}

// filesAtOnce is how many files are fetched at one time.
const filesAtOnce = 6

// Source is a bucket of blocks. See the package documentation.
type Source struct {
	bucket *blob.Bucket
	prefix string
	opts   Options
	skips  *migrate.Skips
	shelf  *shelf
	slots  chan struct{} // holds a token for each file that is being fetched
	blocks []*listed     // that are read, and the bytes of their files, by Days
	bytes  int64
	tell   func(bytes, total int64)
}

var _ migrate.Downloader = (*Source)(nil)

// New returns a source over the bucket, which it closes in Close.
func New(bucket *blob.Bucket, skips *migrate.Skips, o *Options) *Source {
	s := &Source{bucket: bucket, skips: skips, tell: func(int64, int64) {}}
	if o != nil {
		s.opts = *o
	}
	s.opts.Name = cmp.Or(s.opts.Name, bucket.Scheme()+"://")
	s.opts.Parallel = max(1, cmp.Or(s.opts.Parallel, 2))
	s.opts.metasAtOnce, s.opts.filesAtOnce = cmp.Or(s.opts.metasAtOnce, metasAtOnce), cmp.Or(s.opts.filesAtOnce, filesAtOnce)
	if s.opts.Tenant != "" {
		s.prefix = s.opts.Tenant + "/"
	}
	slices.Sort(s.opts.ReplicaLabels)
	s.slots = make(chan struct{}, s.opts.filesAtOnce)
	s.shelf = &shelf{s: s, held: map[string]*held{}}
	return s
}

// where names a block for people.
func (s *Source) where(name string) string {
	return strings.TrimSuffix(s.opts.Name, "/") + "/" + s.prefix + name
}

func (s *Source) tempParent() string { return cmp.Or(s.opts.TempDir, os.TempDir()) }

// Days implements migrate.Source. It lists the bucket and reads each meta.json.
func (s *Source) Days(ctx context.Context, r model.TimeRange, _ migrate.Want) ([]migrate.Extent, error) {
	sweep(s.opts.TempDir)
	found, err := s.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list blocks of %s: %w", s.opts.Name, err)
	}
	if len(found) == 0 {
		return nil, s.empty(ctx)
	}
	if found, err = s.readMetas(ctx, found); err != nil {
		return nil, err
	}
	if s.blocks, err = s.choose(found, r); err != nil {
		return nil, err
	}
	s.bytes = 0
	for _, b := range s.blocks {
		for _, size := range b.files {
			s.bytes += size
		}
	}
	return s.extents(r), nil
}

// TellDownload implements migrate.Downloader.
func (s *Source) TellDownload(tell func(bytes, total int64)) { s.tell = tell }

func (s *Source) extents(r model.TimeRange) []migrate.Extent {
	extents, about := map[model.Day]*migrate.Extent{}, estimates{}
	for _, b := range s.blocks {
		key := copyKey{s.group(b, true), replicaOf(labels.FromMap(b.info.labels), s.opts.ReplicaLabels)}
		about.add(b, key, r)
		// With its size: one that was cut and was uploaded again is another.
		mark := fmt.Sprintf("block %s %d %d %q %q ", b.name, b.info.Stats.NumTombstones, b.bytes(), key.group, key.replica)
		prom.Extents(&b.info.BlockMeta, mark, r, func(d model.Day) *migrate.Extent {
			if extents[d] == nil {
				extents[d] = &migrate.Extent{Day: d, Fingerprint: fmt.Sprintf("bucket %t %q %d ", s.opts.NoExternalLabels, s.opts.ReplicaLabels, s.opts.Dedup)}
			}
			return extents[d]
		})
	}
	for d, e := range extents {
		sum := about.of(d)
		e.Samples = sum.Samples
		if s.opts.Estimate {
			e.Estimate = sum
		}
	}
	return migrate.InOrder(extents)
}

// empty is the error for a bucket without blocks, which says what there is instead.
func (s *Source) empty(ctx context.Context) error {
	const most = 10
	var dirs []string
	for o, err := range s.bucket.List(ctx, "") {
		if err != nil {
			return err
		}
		if dir, file, ok := strings.Cut(o.Key, "/"); ok && !slices.Contains(dirs, dir) && len(file) > 26 && ulids.MatchString(file[:26]) {
			if dirs = append(dirs, dir); len(dirs) == most {
				break
			}
		}
	}
	hint := ""
	if len(dirs) > 0 {
		hint = "; there are some of tenants: " + strings.Join(dirs, ", ")
	}
	return fmt.Errorf("there are no blocks in %s/%s%s: %w", strings.TrimSuffix(s.opts.Name, "/"), s.prefix, hint, model.ErrNotFound)
}

// Series implements migrate.Source.
func (s *Source) Series(ctx context.Context, r model.TimeRange, want migrate.Want) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		if err := s.shelf.tidy(model.DayOf(r.MinMs) - model.Day(s.opts.Parallel) + 1); err != nil {
			yield(nil, err)
			return
		}
		blocks, err := s.takeAll(ctx, r)
		defer func() {
			for _, h := range blocks {
				if h != nil {
					s.shelf.leave(h)
				}
			}
		}()
		if err != nil {
			yield(nil, err)
			return
		}
		var inputs []iter.Seq2[model.Series, error]
		for _, h := range blocks {
			if h.block != nil {
				inputs = append(inputs, h.block.Series(ctx, r, want))
			}
		}
		merged := spill.MergedBy(ctx, inputs, s.unite)
		if len(inputs) == 1 && len(s.opts.ReplicaLabels) == 0 {
			merged = inputs[0]
		}
		for series, err := range merged {
			if !yield(series, err) {
				return
			}
		}
	}
}

// takeAll brings the blocks of the range here. After an error some may be nil.
func (s *Source) takeAll(ctx context.Context, r model.TimeRange) ([]*held, error) {
	var wanted []*listed
	for _, b := range s.blocks {
		if prom.RangeOf(&b.info.BlockMeta).Overlaps(r) {
			wanted = append(wanted, b)
		}
	}
	blocks := make([]*held, len(wanted))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.opts.filesAtOnce)
	for i, b := range wanted {
		group.Go(func() (err error) {
			blocks[i], err = s.shelf.take(ctx, b)
			return err
		})
	}
	return blocks, group.Wait()
}

// Close implements migrate.Source. It removes what was fetched.
func (s *Source) Close() error {
	return errors.Join(s.shelf.Close(), s.bucket.Close())
}
