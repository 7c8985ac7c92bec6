package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// CutoverConfig says from when on the live path has to have everything.
type CutoverConfig struct {
	Config
	// SinceMs is the end of the backfill; 0 is the last sample of the source. What the source has behind it is not looked at. Series that had samples in the Window before are expected to go on.
	SinceMs int64
	// Window is how long before the end a series must have had a sample to be expected. Default 1 h.
	Window time.Duration
	// Intervals is how many scrape intervals without a sample make a gap. Default 3.
	Intervals int
	// SkipVerify leaves out the comparison of the history.
	SkipVerify bool
}

// CutoverComponents are the two sides, and the bucket once more.
type CutoverComponents struct {
	Components
	// Live is what the bucket, or better a server on it, has of the time since; made with LiveSkips. Its Days is called at the moment that counts as the present.
	Live      migrate.Source
	LiveSkips *migrate.Skips
	// Ask, if not nil, asks both sides queries when the history was compared.
	Ask func(ctx context.Context, r *Report) ([]Compared, error)
}

// maxAlive bounds the series that are expected to go on: about 140 bytes each are held.
const maxAlive = 2_000_000

// cutover is one check.
type cutover struct {
	cfg CutoverConfig
	c   CutoverComponents
	// days are those of the source. window is the time in which series of the source are alive, live that which the bucket is asked about.
	days         []migrate.Extent
	window, live model.TimeRange
	states       states
	at           map[seriesKey]int32 // index of states
	r            *CutoverReport
}

func (c *CutoverConfig) fill() error {
	if c.Window <= 0 {
		c.Window = time.Hour
	}
	if c.Intervals <= 0 {
		c.Intervals = 3
	}
	return c.Config.fill()
}

// Cutover compares the history (Run), then looks at the series that were alive at its end: whether each goes on in the bucket without a gap, at the same interval, and until now. The report
// is not nil once something was checked; after an error it is not Ready.
func Cutover(ctx context.Context, cfg *CutoverConfig, c CutoverComponents) (*CutoverReport, error) {
	k := &cutover{cfg: *cfg, c: c, at: map[seriesKey]int32{}, r: &CutoverReport{Reasons: []string{}, Notes: []string{}, Wrong: map[ProblemKind]int64{}, Problems: []Problem{}, Unseen: []migrate.Skip{}}}
	if err := k.cfg.fill(); err != nil {
		return nil, fmt.Errorf("cutover: %w", err)
	}
	if k.c.Now == nil {
		k.c.Now = time.Now
	}
	if since := k.cfg.SinceMs; since != 0 { // the source may go on: what comes behind is the live path's
		r := model.TimeRange{MinMs: model.MinTimeMs, MaxMs: since}
		if k.cfg.Job.Range != nil {
			r = r.Intersect(*k.cfg.Job.Range)
		}
		k.cfg.Job.Range = &r
	}
	if err := k.run(ctx); err != nil {
		k.r.Reasons = []string{"the check did not come to its end"}
		return k.r, fmt.Errorf("cutover: %w", err)
	}
	k.r.judge(&k.cfg)
	return k.r, nil
}

func (k *cutover) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{k.history, k.findEnd, k.alive, k.goOn, k.count} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// history compares it, or only asks the source for its days.
func (k *cutover) history(ctx context.Context) (err error) {
	if !k.cfg.SkipVerify {
		k.r.History, err = Run(ctx, &k.cfg.Config, k.c.Components)
		if err != nil {
			return err
		}
		k.days, k.r.EndMs = k.r.History.sourceDays, k.r.History.MaxMs
		return k.ask(ctx)
	}
	sel, err := migrate.Select(&k.cfg.Job, k.c.Now, k.c.Source, k.c.Skips)
	if err != nil {
		return err
	}
	if k.days, err = sel.Days(ctx); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	return nil
}

func (k *cutover) ask(ctx context.Context) error {
	if k.c.Ask == nil {
		return nil
	}
	return k.r.History.Ask(func() ([]Compared, error) { return k.c.Ask(ctx, k.r.History) })
}

// findEnd finds the last sample of the source, from its last day backwards, if that is not known.
func (k *cutover) findEnd(ctx context.Context) error {
	for _, day := range slices.Backward(k.days) {
		if k.r.EndMs != 0 || k.cfg.SinceMs != 0 {
			break
		}
		err := k.source(ctx, day.Day.Range(), func(s blocks.BuildSeries) error {
			k.r.EndMs = max(k.r.EndMs, s.Columns.T[s.Columns.Len()-1])
			return nil
		})
		if err != nil {
			return err
		}
	}
	if k.cfg.SinceMs != 0 {
		k.r.EndMs = k.cfg.SinceMs
	}
	if k.r.EndMs == 0 {
		return fmt.Errorf("source: it has no samples that were asked for: %w", model.ErrNotFound)
	}
	k.window = model.TimeRange{MinMs: k.r.EndMs - k.cfg.Window.Milliseconds() + 1, MaxMs: k.r.EndMs}
	return nil
}

// source hands out the series of the source within a range, day by day. A Selection that knows of no more is made for each.
func (k *cutover) source(ctx context.Context, r model.TimeRange, each func(blocks.BuildSeries) error) error {
	job := k.cfg.Job
	if job.Range != nil {
		r = r.Intersect(*job.Range)
	}
	job.Range = &r
	sel, err := migrate.Select(&job, k.c.Now, k.c.Source, k.c.Skips)
	if err != nil {
		return err
	}
	for _, day := range k.days {
		if r.Empty() || !day.Day.Range().Overlaps(r) {
			continue
		}
		for s, err := range sel.Series(ctx, day) {
			if err == nil && ctx.Err() != nil {
				err = ctx.Err()
			}
			if err == nil && !model.Reserved(s.Labels) {
				err = each(s)
			}
			if err != nil {
				return fmt.Errorf("source: day %s: %w", day.Day.Dashed(), err)
			}
		}
	}
	return nil
}

// alive notes the series of the source that had samples in the window.
func (k *cutover) alive(ctx context.Context) error {
	var keys keyer
	return k.source(ctx, k.window, func(s blocks.BuildSeries) error {
		key := keys.of(s.Labels)
		i, ok := k.at[key]
		if !ok {
			if k.states.n >= maxAlive {
				return fmt.Errorf("more than %d series are alive; check them in parts, by --match: %w", maxAlive, model.ErrLimit)
			}
			i = k.states.add(state{ofRule: ofRule(s.Labels)})
			k.at[key] = i
		}
		k.states.at(i).source(s.Columns)
		return nil
	})
}

// goOn follows the series in the bucket, from the window until now.
func (k *cutover) goOn(ctx context.Context) error {
	k.r.NowMs = k.c.Now().UnixMilli()
	k.live = model.TimeRange{MinMs: k.window.MinMs, MaxMs: max(k.r.NowMs, k.r.EndMs)}
	days, err := k.c.Live.Days(ctx, k.live, notReserved)
	if err != nil {
		return fmt.Errorf("live path: %w", err)
	}
	var keys keyer
	var c model.Columns
	for _, day := range days {
		r := k.live.Intersect(day.Day.Range())
		if r.Empty() {
			continue
		}
		err := each(ctx, k.c.Live, r, func(s model.Series) error {
			i, ok := k.at[keys.of(s.Labels())]
			if !ok {
				return nil
			}
			c.Reset()
			if err := s.Samples(&c, r); err != nil {
				return err
			}
			k.states.at(i).live(&c, k.cfg.Intervals)
			return nil
		})
		if err != nil {
			return fmt.Errorf("live path: day %s: %w", day.Day.Dashed(), err)
		}
	}
	return nil
}

// each hands out the series of a range within a day, which servers are first asked for.
func each(ctx context.Context, src migrate.Source, r model.TimeRange, do func(model.Series) error) (err error) {
	if f, ok := src.(migrate.Fetcher); ok {
		if _, _, err := f.Fetch(ctx, r, notReserved, func(int64, int64) {}); err != nil {
			return err
		}
		defer func() {
			if e := f.Release(model.DayOf(r.MinMs)); err == nil {
				err = e
			}
		}()
	}
	for s, err := range src.Series(ctx, r, notReserved) {
		if err == nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		if err == nil && !model.Reserved(s.Labels()) {
			err = do(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// count counts what came of the series, and names those that are not well: for their labels the source is read once more.
func (k *cutover) count(ctx context.Context) error {
	if k.c.LiveSkips != nil {
		k.r.Unseen = orEmpty(k.c.LiveSkips.Named())
	}
	wrong := false
	for i := range int32(k.states.n) {
		s := k.states.at(i)
		s.settle(k.r.EndMs, k.r.NowMs, k.cfg.Intervals)
		k.r.add(s)
		wrong = wrong || s.found != ""
	}
	if !wrong {
		return nil
	}
	var keys keyer
	return k.source(ctx, k.window, func(b blocks.BuildSeries) error {
		i, ok := k.at[keys.of(b.Labels)]
		if ok && k.states.at(i).found != "" && len(k.r.Problems) < k.cfg.MaxNamed {
			k.r.Problems = append(k.r.Problems, k.states.at(i).problem(b.Labels.String()))
			k.states.at(i).found = "" // a window over midnight has a series twice
		}
		return nil
	})
}
