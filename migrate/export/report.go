package export

import (
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/migrate"
)

// What a form may be unable to hold, by the names of Report.Left.
const (
	LeftStale      = "stale markers"
	LeftHistograms = "native histograms"
	LeftStarts     = "start timestamps"
	LeftExemplars  = "exemplars"
	LeftMetadata   = "metadata of metrics"
	LeftNameless   = "samples of series without a metric name"
	LeftNaN        = "payloads of NaN"
)

// Report is what came of an export.
type Report struct {
	To string `json:"to"`
	// Days that have samples, Series summed over them, Samples of which Histograms are native histograms; what is in Left among them.
	Days       int   `json:"days"`
	Series     int64 `json:"series"`
	Samples    int64 `json:"samples"`
	Histograms int64 `json:"histograms"`
	MinMs      int64 `json:"min_ms"`
	MaxMs      int64 `json:"max_ms"`
	// Files are the files that were written, or blocks, and Bytes their size.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Left counts what the form cannot hold. Start timestamps, and payloads of NaN, are of samples that were written without them.
	Left map[string]int64 `json:"left_out"`
	// Skipped counts by kind what could not be read; Named are the first.
	Skipped map[string]int64 `json:"skipped"`
	Named   []migrate.Skip   `json:"skipped_first"`
	DryRun  bool             `json:"dry_run"`
}

func newReport(cfg *Config) *Report {
	return &Report{To: cfg.To, DryRun: cfg.DryRun, Left: map[string]int64{}}
}

func (r *Report) count(s *blocks.BuildSeries) {
	t := s.Columns.T
	if r.Samples == 0 {
		r.MinMs, r.MaxMs = t[0], t[len(t)-1]
	}
	r.MinMs, r.MaxMs = min(r.MinMs, t[0]), max(r.MaxMs, t[len(t)-1])
	r.Series++
	r.Samples += int64(len(t))
	for _, h := range s.Columns.H {
		if isHistogram(h) {
			r.Histograms++
		}
	}
}
