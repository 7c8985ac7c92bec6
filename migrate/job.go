package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// Config says what a job takes over.
type Config struct {
	// Tenant gets the samples.
	Tenant string
	// Name tells jobs apart that would else be the same: the same samples are taken over once more.
	Name string
	// Range bounds the samples. Default everything.
	Range *model.TimeRange
	// Matchers choose series, by the labels that they have at the source; Relabel then changes labels, or drops series.
	Matchers []*labels.Matcher
	Relabel  []*relabel.Config
	// DryRun counts and commits nothing.
	DryRun bool
	// Refetch asks a server anew for days that were over when they were taken over: for samples that came late. See Fetcher.
	Refetch bool
	// Parallel is how many days are worked on at one time, each of which takes about 100 MiB. Default 2.
	Parallel int
	// TempDir is where what comes in no order is sorted, SortBytes how much of it is held. Defaults: that of the system, 128 MiB.
	TempDir   string
	SortBytes int64
	// A block ends with the metric at PartSamples, and in any case at twice as many samples, at PartSeries, or when its series have PartLabelBytes in labels beyond
	// the usual 128 bytes each, as the index of a block is held until its end. Defaults 100 M, 500,000, 64 MiB. Another number makes another job.
	PartSamples, PartSeries, PartLabelBytes int64
}

// DefaultSortBytes is how much is held in memory where samples are sorted.
const DefaultSortBytes = 128 << 20

// Components are what a job works with.
type Components struct {
	Bucket  *blob.Bucket
	Catalog *catalog.Store
	Now     func() time.Time
	// Progress, if not nil, is called now and then, by one goroutine at a time.
	Progress func(Progress)
}

func (c *Config) fill() error {
	if err := tenant.Check(c.Tenant); err != nil {
		return fmt.Errorf("tenant %w", err)
	}
	whole := model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}
	if c.Range != nil {
		whole = whole.Intersect(*c.Range)
	}
	c.Range = &whole
	number(&c.SortBytes, DefaultSortBytes)
	number(&c.PartSamples, 100_000_000)
	number(&c.PartSeries, 500_000)
	number(&c.PartLabelBytes, 64<<20)
	number(&c.Parallel, 2)
	for _, r := range c.Relabel {
		if r.NameValidationScheme == 0 {
			return fmt.Errorf("relabelling was not validated: %w", model.ErrInvalid)
		}
	}
	return nil
}

func number[T int | int64](n *T, byDefault T) {
	if *n <= 0 {
		*n = byDefault
	}
}

// job is one run.
type job struct {
	cfg   Config
	c     Components
	src   Source
	skips *Skips
	want  Want
	count counters
}

// Run takes over what the source has. It returns when every day is complete or an error has ended it, with a report of what was done in either case. What is
// committed stays; the same call again goes on with the rest. skips are those that the source was made with. src stays the caller's.
func Run(ctx context.Context, cfg *Config, c Components, src Source, skips *Skips) (*Report, error) {
	j := &job{cfg: *cfg, c: c, src: src, skips: skips, want: wanted(cfg.Matchers)}
	if j.c.Now == nil {
		j.c.Now = time.Now
	}
	if err := j.cfg.fill(); err != nil {
		return nil, fmt.Errorf("backfill: %w", err)
	}
	j.count.started = j.c.Now()
	err := j.run(ctx)
	if err != nil {
		err = fmt.Errorf("backfill: %w", err)
	}
	return j.report(), err
}

func (j *job) run(ctx context.Context) error {
	if d, ok := j.src.(Downloader); ok {
		d.TellDownload(func(bytes, total int64) {
			j.count.download(bytes, total)
			j.progress()
		})
	}
	days, err := j.src.Days(ctx, *j.cfg.Range, j.want)
	if err != nil {
		return err
	}
	if days, err = j.plausible(days); err != nil {
		return err
	}
	j.count.expect(days)
	if _, ok := j.src.(Fetcher); ok {
		for i := range days {
			j.count.expectFetch(j.rangeOf(days[i].Day).Length())
		}
	}
	j.progress()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(j.cfg.Parallel)
	for _, e := range days {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := j.newDay(e).run(ctx); err != nil {
				return fmt.Errorf("day %s: %w", e.Day.Dashed(), err)
			}
			j.count.dayDone()
			j.progress()
			return nil
		})
	}
	return group.Wait()
}

// plausible leaves out days that are yet to come: a clock that was wrong, or seconds that were taken for milliseconds.
func (j *job) plausible(days []Extent) ([]Extent, error) {
	last := model.DayOf(j.c.Now().UnixMilli()) + 1
	for i, e := range days {
		if e.Day <= last {
			continue
		}
		for _, late := range days[i:] {
			if err := j.skips.Add(Skip{Kind: "samples", Where: "day " + late.Day.Dashed(), Samples: late.Samples, Reason: "the day is yet to come"}); err != nil {
				return nil, err
			}
		}
		return days[:i], nil
	}
	return days, nil
}

// writer is the id of the job in the catalog of the day.
func (j *job) writer(e *Extent) string {
	h := sha256.New()
	// Whatever is written here ends with a NUL or is quoted, so that no two jobs look the same.
	fmt.Fprintf(h, "varve backfill job 2\x00%q %q %d %q", j.cfg.Tenant, j.cfg.Name, e.Day, e.Fingerprint)
	r := j.cfg.Range.Intersect(e.Day.Range())
	fmt.Fprintf(h, " %d %d %d %d %d", r.MinMs, r.MaxMs, j.cfg.PartSamples, j.cfg.PartSeries, j.cfg.PartLabelBytes)
	for _, m := range j.cfg.Matchers {
		fmt.Fprintf(h, " m%q", m.String())
	}
	for _, c := range j.cfg.Relabel {
		fmt.Fprintf(h, " r%q %q %q %d %q %q %q", c.SourceLabels, c.Separator, c.Regex.String(), c.Modulus, c.TargetLabel, c.Replacement, c.Action)
	}
	return "backfill-" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:16]))
}

// complete is the generation that says that a job has nothing more for a day.
const complete = math.MaxUint32
