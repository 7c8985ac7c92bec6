package migrate

import (
	"slices"
	"sync"
	"time"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// Progress is how far a job is. Samples that it passes over because an earlier run has committed them count too.
type Progress struct {
	Days      int           `json:"days"`
	DaysTotal int           `json:"days_total"`
	Samples   int64         `json:"samples"`
	Expected  int64         `json:"samples_expected"` // about; 0 if it is not known
	Elapsed   time.Duration `json:"-"`
	// Of a server: the days that are being fetched, the samples that came, and how far that is in time, in milliseconds of all days. 0 for other sources.
	Fetching   []string `json:"fetching,omitempty"`
	Fetched    int64    `json:"samples_fetched,omitempty"`
	FetchedMs  int64    `json:"fetched_ms,omitempty"`
	ExpectedMs int64    `json:"fetched_ms_expected,omitempty"`
	// Of a bucket: the bytes of blocks that were fetched, and those of all of its blocks in the range, of which days that are complete need none. 0 for other sources.
	Downloaded    int64 `json:"bytes_fetched,omitempty"`
	DownloadTotal int64 `json:"bytes_fetched_at_most,omitempty"`
}

// Report is what came of a job.
type Report struct {
	// Days that have samples, of which Already were complete before the job began.
	Days    int `json:"days"`
	Already int `json:"days_already_complete"`
	// Blocks were committed by this run: Series (summed over the blocks), Samples, of which Histograms are native histograms, and Bytes. A dry run
	// has built only the first of them, and Bytes is what all would come to by it.
	Blocks     int   `json:"blocks"`
	Series     int64 `json:"series"`
	Samples    int64 `json:"samples"`
	Histograms int64 `json:"histograms"`
	Bytes      int64 `json:"bytes"`
	// Exemplars and Metadata (what is said of a metric, once for each day on which it is) are taken over beside them.
	Exemplars int64 `json:"exemplars"`
	Metadata  int64 `json:"metadata"`
	// MinMs and MaxMs are the first and last timestamp among them.
	MinMs int64 `json:"min_ms"`
	MaxMs int64 `json:"max_ms"`
	// Dropped series were dropped by relabelling.
	Dropped int64 `json:"series_dropped"`
	// Skipped counts by kind what could not be taken over; Named are the first.
	Skipped map[string]int64 `json:"skipped"`
	Named   []Skip           `json:"skipped_first"`
	DryRun  bool             `json:"dry_run"`
	// Estimated: a dry run has counted days by what the source says of them, without reading them.
	Estimated bool `json:"estimated,omitempty"`
	// Requests is about how many writes of objects the blocks need, catalogs included. Dry runs only.
	Requests int64 `json:"requests,omitempty"`
}

// counters are what a job has done. Safe for concurrent use.
type counters struct {
	started time.Time

	mu       sync.Mutex // guards what follows
	progress Progress
	r        Report
	// built are the samples and bytes of blocks that a dry run has built.
	built, builtBytes int64
}

func (c *counters) expect(days []Extent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.DaysTotal = len(days)
	for i := range days {
		c.progress.Expected += days[i].Samples
	}
}

// expectFetch says that so much time is to be fetched.
func (c *counters) expectFetch(ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.ExpectedMs += ms
}

// fetch counts what came of a server.
func (c *counters) fetch(samples, ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Fetched += samples
	c.progress.FetchedMs += ms
}

// download counts what came of files.
func (c *counters) download(bytes, total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Downloaded += bytes
	c.progress.DownloadTotal = total
}

// fetching says that a day is being fetched, or no longer. The slice is never changed: it was handed out.
func (c *counters) fetching(day model.Day, begins bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Fetching = slices.DeleteFunc(slices.Clone(c.progress.Fetching), func(s string) bool { return s == day.Dashed() })
	if begins {
		c.progress.Fetching = append(c.progress.Fetching, day.Dashed())
	}
}

func (c *counters) dayDone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Days++
}

func (c *counters) passed(samples int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Samples += samples
}

// day counts a day with samples.
func (c *counters) day(already bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Days++
	if already {
		c.r.Already++
	}
}

func (c *counters) dropped() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Dropped++
}

// part counts a block, of which rows are no samples; in a dry run m may be one that was counted but not built, of no size.
func (c *counters) part(m *blocks.Meta, rows rows) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.r
	if r.Blocks == 0 {
		r.MinMs, r.MaxMs = m.MinT, m.MaxT
	}
	r.MinMs, r.MaxMs = min(r.MinMs, m.MinT), max(r.MaxMs, m.MaxT)
	r.Blocks++
	r.Series += m.Series - rows.series
	r.Samples += m.Samples - rows.samples
	r.Histograms += m.Histograms - rows.samples
	r.Exemplars += rows.exemplars
	r.Metadata += rows.metadata
	r.Bytes += m.Size
	if m.Size > 0 {
		c.built, c.builtBytes = c.built+m.Samples-rows.samples, c.builtBytes+m.Size
	}
}

// needsBuilt reports whether a dry run has built nothing yet that tells how large a block becomes.
func (c *counters) needsBuilt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.built == 0
}

func (j *job) progress() {
	if j.c.Progress == nil {
		return
	}
	j.count.mu.Lock()
	defer j.count.mu.Unlock()
	p := j.count.progress
	p.Elapsed = j.c.Now().Sub(j.count.started)
	j.c.Progress(p)
}

func (j *job) report() *Report {
	j.count.mu.Lock()
	defer j.count.mu.Unlock()
	r := j.count.r
	r.Skipped, r.Named, r.DryRun = j.skips.Counts(), j.skips.Named(), j.cfg.DryRun
	if r.DryRun && j.count.built > 0 {
		r.Bytes = int64(float64(r.Samples) / float64(j.count.built) * float64(j.count.builtBytes))
		const partBytes = 8 << 20 // of an upload
		// A block is begun, ended and committed; a day is entered in the root and made complete.
		r.Requests = r.Bytes/partBytes + 3*int64(r.Blocks) + 2*int64(r.Days)
	}
	return &r
}

// rangeOf is the part of a day that the job takes.
func (j *job) rangeOf(day model.Day) model.TimeRange { return j.cfg.Range.Intersect(day.Range()) }
