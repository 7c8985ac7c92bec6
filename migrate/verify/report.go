package verify

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// Kind is what sort of difference it is.
type Kind string

// The kinds.
const (
	MissingSeries  Kind = "missing series"  // the bucket does not have it on that day
	MissingSamples Kind = "missing samples" // of a series that it has
	Values         Kind = "values"
	Histograms     Kind = "histograms" // native ones
	Types          Kind = "types"      // a float here and a histogram there, or another start timestamp
	ExtraSeries    Kind = "extra series"
	ExtraSamples   Kind = "extra samples"
)

// Difference is one that is named: samples of one series, one behind the other, that differ in the same way.
type Difference struct {
	Kind   Kind   `json:"kind"`
	Day    string `json:"day"`
	Series string `json:"series"`
	// FirstMs and LastMs are the times of the first and the last sample, Samples how many they are.
	FirstMs int64 `json:"first_ms"`
	LastMs  int64 `json:"last_ms"`
	Samples int64 `json:"samples"`
	// Source and Target are what the sides have at FirstMs, "" for nothing.
	Source string `json:"source"`
	Target string `json:"target"`
	// Hint is what may be the matter, or "".
	Hint string `json:"hint,omitempty"`

	day model.Day
}

// Counts are what was compared. A series counts once a day.
type Counts struct {
	SourceSeries     int64 `json:"source_series"`
	TargetSeries     int64 `json:"target_series"`
	SourceSamples    int64 `json:"source_samples"`
	TargetSamples    int64 `json:"target_samples"`
	SourceHistograms int64 `json:"source_histograms"`
	TargetHistograms int64 `json:"target_histograms"`

	MissingSeries int64 `json:"missing_series"`
	// MissingSamples are those of missing series too; so are ExtraSamples.
	MissingSamples      int64 `json:"missing_samples"`
	DifferentValues     int64 `json:"different_values"`
	DifferentHistograms int64 `json:"different_histograms"`
	DifferentTypes      int64 `json:"different_types"`
	// DifferentSeries are those that both sides have, with any difference.
	DifferentSeries int64 `json:"different_series"`
	ExtraSeries     int64 `json:"extra_series"`
	ExtraSamples    int64 `json:"extra_samples"`
	// WithinTolerance are samples that differ, but not by more than the tolerance, or in the form of a histogram only.
	WithinTolerance int64 `json:"within_tolerance"`

	// Exemplars at the source, and metrics of which it has metadata, counted once a day; what is missing of them in the bucket is no difference.
	SourceExemplars  int64 `json:"source_exemplars"`
	MissingExemplars int64 `json:"missing_exemplars"`
	SourceMetadata   int64 `json:"source_metadata"`
	MissingMetadata  int64 `json:"missing_metadata"`
}

func (c *Counts) add(o *Counts) {
	for _, p := range [][2]*int64{
		{&c.SourceSeries, &o.SourceSeries},
		{&c.TargetSeries, &o.TargetSeries},
		{&c.SourceSamples, &o.SourceSamples},
		{&c.TargetSamples, &o.TargetSamples},
		{&c.SourceHistograms, &o.SourceHistograms},
		{&c.TargetHistograms, &o.TargetHistograms},
		{&c.MissingSeries, &o.MissingSeries},
		{&c.MissingSamples, &o.MissingSamples},
		{&c.DifferentValues, &o.DifferentValues},
		{&c.DifferentHistograms, &o.DifferentHistograms},
		{&c.DifferentTypes, &o.DifferentTypes},
		{&c.DifferentSeries, &o.DifferentSeries},
		{&c.ExtraSeries, &o.ExtraSeries},
		{&c.ExtraSamples, &o.ExtraSamples},
		{&c.WithinTolerance, &o.WithinTolerance},
		{&c.SourceExemplars, &o.SourceExemplars},
		{&c.MissingExemplars, &o.MissingExemplars},
		{&c.SourceMetadata, &o.SourceMetadata},
		{&c.MissingMetadata, &o.MissingMetadata},
	} {
		*p[0] += *p[1]
	}
}

// Wrong is how many samples are missing or differ.
func (c *Counts) Wrong() int64 {
	return c.MissingSamples + c.DifferentValues + c.DifferentHistograms + c.DifferentTypes
}

// Day is what came of one day.
type Day struct {
	Day string `json:"day"`
	Counts
	// NotRead: only the bucket has samples of the day, and they were not looked at; TargetSamples is about how many.
	NotRead bool `json:"not_read,omitempty"`
}

// Report is what came of a comparison.
type Report struct {
	// Complete: everything was compared. Equal: and nothing differs that counts. A source without a single sample is equal to nothing.
	Complete bool `json:"complete"`
	Equal    bool `json:"equal"`
	// Total are the sums over Days that were read.
	Total Counts `json:"total"`
	Days  []Day  `json:"days"`
	// MinMs and MaxMs are the first and the last sample of the source; both 0 if it has none.
	MinMs int64 `json:"min_ms"`
	MaxMs int64 `json:"max_ms"`
	// Differences are the first ones.
	Differences []Difference `json:"differences"`
	// Skipped counts by kind what a backfill leaves out of the source; Named are the first.
	Skipped map[string]int64 `json:"skipped"`
	Named   []migrate.Skip   `json:"skipped_first"`
	// Unreadable is what could not be read of the bucket, at most a hundred: its samples count as missing.
	Unreadable []migrate.Skip `json:"unreadable"`
	Exact      bool           `json:"exact"`
	// Queries are those of Ask.
	Queries []Compared `json:"queries,omitempty"`

	// sourceDays are those of the source.
	sourceDays []migrate.Extent
}

// tally gathers what days came to. Safe for concurrent use.
type tally struct {
	mu       sync.Mutex // guards what follows
	started  time.Time
	maxNamed int
	p        migrate.Progress
	r        Report
}

func (t *tally) begin(now time.Time, maxNamed int, exact bool) {
	t.started, t.maxNamed, t.r.Exact = now, maxNamed, exact
}

func (t *tally) expect(days []migrate.Extent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.DaysTotal = len(days)
	t.r.sourceDays = days
	for i := range days {
		t.p.Expected += days[i].Samples
	}
}

func (t *tally) passed(samples int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.Samples += samples
}

// day takes the result of a day.
func (t *tally) day(d *day) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.source != nil {
		t.p.Days++
	}
	if d.counts == (Counts{}) {
		return // neither side has a sample of the day within the range
	}
	r := &t.r
	if d.counts.SourceSamples > 0 {
		if r.Total.SourceSamples == 0 {
			r.MinMs, r.MaxMs = d.minMs, d.maxMs
		}
		r.MinMs, r.MaxMs = min(r.MinMs, d.minMs), max(r.MaxMs, d.maxMs)
	}
	r.Total.add(&d.counts)
	r.Days = append(r.Days, Day{Day: d.pair.day.Dashed(), Counts: d.counts})
	r.Differences = keepFirst(r.Differences, d.diff.named, t.maxNamed)
}

// extraDay takes a day that only the bucket has.
func (t *tally) extraDay(e *migrate.Extent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Days = append(t.r.Days, Day{Day: e.Day.Dashed(), Counts: Counts{TargetSamples: e.Samples}, NotRead: true})
}

func (t *tally) progress(now time.Time, show func(migrate.Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.Elapsed = now.Sub(t.started)
	show(t.p)
}

func (t *tally) report(c *Components, complete bool) *Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.r
	r.Complete = complete
	r.Equal = complete && r.Total.SourceSamples > 0 && r.Total.Wrong() == 0 && (!r.Exact || r.Total.ExtraSamples == 0)
	r.Skipped, r.Named, r.Unreadable = c.Skips.Counts(), c.Skips.Named(), c.TargetSkips.Named()
	r.Days = slices.Clone(r.Days)
	// Programs that read the report want lists, not null.
	r.Days, r.Differences = orEmpty(r.Days), orEmpty(r.Differences)
	r.Named, r.Unreadable = orEmpty(r.Named), orEmpty(r.Unreadable)
	slices.SortFunc(r.Days, func(a, b Day) int { return cmp.Compare(a.Day, b.Day) })
	return &r
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Ask adds queries to the outcome: those that ask returns, and the error that ended them if one did.
func (r *Report) Ask(ask func() ([]Compared, error)) (err error) {
	r.Queries, err = ask()
	r.Complete = r.Complete && err == nil
	r.Equal = r.Equal && err == nil && Different(r.Queries) == 0
	return err
}

func timeText(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	if ms%1000 == 0 {
		return t.Format(time.RFC3339)
	}
	return t.Format("2006-01-02T15:04:05.000Z07:00")
}
