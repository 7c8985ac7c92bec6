package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// Config says what is written where.
type Config struct {
	// To is the form: one of Kinds.
	To string
	// Out is the file or directory. "-" is standard output, for the forms of text. A name that ends in .gz or .zst is compressed, for these forms.
	Out string
	// BlockDuration is how long a block of Prometheus is: an even part of a day. Default a day.
	BlockDuration time.Duration
	// ExternalLabels go to the thanos section of blocks of Prometheus. None leaves the section out.
	ExternalLabels map[string]string
	// TempDir is where openmetrics sorts; default that of the system. SortBytes bounds what is held meanwhile. Default 64 MiB.
	TempDir   string
	SortBytes int64
	// DryRun counts and writes nothing.
	DryRun bool
}

// Components are what an export works with.
type Components struct {
	// FS is where files are written. Blocks of Prometheus always go to that of the system.
	FS vfs.FS
	// Stdout takes the output "-".
	Stdout io.Writer
	Now    func() time.Time
	// Rand gives the ids of blocks and temporary names.
	Rand io.Reader
	// Metadata, if not nil, tells what is said of metrics, for openmetrics. It is called once.
	Metadata func(ctx context.Context) (map[string]model.Metadata, error)
	// Progress, if not nil, is called now and then.
	Progress func(migrate.Progress)
}

// target takes the series of one day after another.
type target interface {
	begin(e *migrate.Extent) error
	// add takes a series, which is valid until the call returns. No series is one of Varve's own.
	add(ctx context.Context, s *blocks.BuildSeries) error
	// end is called at the end of a day that has begun, finish at the end of all: the output gets its name. files is what it consists of.
	end(ctx context.Context) error
	finish(ctx context.Context) (files int, bytes int64, err error)
	// abort removes what was written. It is called if finish was not, or failed.
	abort() error
}

// exemplarTarget is a target that takes exemplars: series whose samples are rows of them, before all others of the day.
type exemplarTarget interface {
	addExemplars(ctx context.Context, s *blocks.BuildSeries) error
}

// kind is a form to write.
type kind struct {
	name string
	// metadata: it has what is said of metrics.
	metadata bool
	open     func(j *job) (target, error)
}

func kinds() []kind {
	return []kind{
		{name: "tsdb", open: newBlocksTarget},
		{name: "openmetrics", open: newOpenMetrics, metadata: true},
		{name: "jsonl", open: newJSONLines},
		{name: "parquet", open: newParquet},
	}
}

// Kinds are the forms that can be written.
func Kinds() []string {
	var out []string
	for _, k := range kinds() {
		out = append(out, k.name)
	}
	return out
}

// job is one run.
type job struct {
	cfg    Config
	c      Components
	skips  *migrate.Skips
	report *Report
	begun  time.Time
	// metrics are those whose metadata was met.
	metrics map[string]struct{}
}

// Run writes the selection. Skips are those that it was made with. The report tells what was written, or was read when an error ended it; then there is no output.
func Run(ctx context.Context, cfg *Config, c Components, sel *migrate.Selection, skips *migrate.Skips) (*Report, error) {
	j := &job{cfg: *cfg, c: c, skips: skips, report: newReport(cfg), metrics: map[string]struct{}{}}
	if j.c.Now == nil {
		j.c.Now = time.Now
	}
	if j.cfg.SortBytes <= 0 {
		j.cfg.SortBytes = 64 << 20
	}
	j.begun = j.c.Now()
	err := j.run(ctx, sel)
	j.report.Skipped, j.report.Named = skips.Counts(), skips.Named()
	if err != nil {
		return j.report, fmt.Errorf("export: %w", err)
	}
	return j.report, nil
}

func (j *job) run(ctx context.Context, sel *migrate.Selection) (err error) {
	k, err := j.kind()
	if err != nil {
		return err
	}
	var t target = nowhere{}
	if !j.cfg.DryRun {
		if t, err = k.open(j); err != nil {
			return err
		}
	}
	done := false
	defer func() {
		if !done {
			err = errors.Join(err, t.abort())
		}
	}()
	if err := j.days(ctx, k, t, sel); err != nil {
		return err
	}
	j.report.Files, j.report.Bytes, err = t.finish(ctx)
	done = err == nil
	return err
}

func (j *job) kind() (*kind, error) {
	for _, k := range kinds() {
		if k.name == j.cfg.To {
			return &k, nil
		}
	}
	return nil, fmt.Errorf("form %q is not known: %w", j.cfg.To, model.ErrInvalid)
}

func (j *job) days(ctx context.Context, k *kind, t target, sel *migrate.Selection) error {
	days, err := sel.Days(ctx)
	if err != nil {
		return err
	}
	p := migrate.Progress{DaysTotal: len(days)}
	for i := range days {
		p.Expected += days[i].Samples
	}
	for i := range days {
		if err := j.day(ctx, k, t, sel, days[i], &p); err != nil {
			return fmt.Errorf("day %s: %w", days[i].Day.Dashed(), err)
		}
		p.Days++
		j.progress(&p)
	}
	return nil
}

// progressEvery is after how many series progress is shown.
const progressEvery = 256

func (j *job) day(ctx context.Context, k *kind, t target, sel *migrate.Selection, e migrate.Extent, p *migrate.Progress) error {
	begun := false
	n := 0
	for s, err := range sel.Series(ctx, e) {
		if err != nil {
			return err
		}
		if !begun {
			begun = true
			j.report.Days++
			if err := t.begin(&e); err != nil {
				return err
			}
		}
		if model.Reserved(s.Labels) {
			err = j.reserved(ctx, k, t, &s)
		} else {
			j.report.count(&s)
			p.Samples += int64(s.Columns.Len())
			err = t.add(ctx, &s)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if n++; n%progressEvery == 0 {
			j.progress(p)
		}
	}
	if !begun {
		return nil
	}
	return t.end(ctx)
}

func (j *job) progress(p *migrate.Progress) {
	if j.c.Progress != nil {
		p.Elapsed = j.c.Now().Sub(j.begun)
		j.c.Progress(*p)
	}
}

// reserved hands exemplars to a target that takes them, and counts them and metadata else.
func (j *job) reserved(ctx context.Context, k *kind, t target, s *blocks.BuildSeries) error {
	if metric, ok := model.MetadataOf(s.Labels); ok {
		if _, known := j.metrics[metric]; !k.metadata && !known {
			j.metrics[metric] = struct{}{}
			j.report.Left[LeftMetadata]++
		}
		return nil
	}
	if to, ok := t.(exemplarTarget); ok {
		return to.addExemplars(ctx, s)
	}
	var list []model.Exemplar
	for i, row := range s.Columns.H {
		var err error
		if list, err = model.DecodeExemplars(list[:0], s.Columns.T[i], row); err != nil {
			return fmt.Errorf("exemplars of %.200s: %w", s.Labels, err)
		}
		j.report.Left[LeftExemplars] += int64(len(list))
	}
	return nil
}

// nowhere is the target of a dry run.
type nowhere struct{}

func (nowhere) begin(*migrate.Extent) error                    { return nil }
func (nowhere) add(context.Context, *blocks.BuildSeries) error { return nil }
func (nowhere) end(context.Context) error                      { return nil }
func (nowhere) finish(context.Context) (int, int64, error)     { return 0, 0, nil }
func (nowhere) abort() error                                   { return nil }
