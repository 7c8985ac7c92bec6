package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// A report is what one run measured. Its JSON names are kept, so that runs of years can be laid side by side.
type report struct {
	Machine            string  `json:"machine"`
	Load               string  `json:"load"`
	Samples            int64   `json:"samples"`
	Series             int64   `json:"series"`
	Requests           int     `json:"requests"`
	WireBytesPerSample float64 `json:"wire_bytes_per_sample"`

	SamplesPerCPUSecond         float64 `json:"samples_per_cpu_second"`
	SamplesPerCPUSecondAnswered float64 `json:"samples_per_cpu_second_answered"`
	SamplesPerSecond            float64 `json:"samples_per_second"`
	AnswerP50Ms                 float64 `json:"answer_p50_ms"`
	AnswerP99Ms                 float64 `json:"answer_p99_ms"`
	Retries                     int     `json:"retries"`
	FlushSeconds                float64 `json:"flush_seconds"`
	PeakRSSMiB                  float64 `json:"peak_rss_mib"`

	BucketBytesPerSample  float64 `json:"bucket_bytes_per_sample"`
	BlockBytesPerSample   float64 `json:"block_bytes_per_sample"`
	CatalogBytesPerSample float64 `json:"catalog_bytes_per_sample"`

	Cold *coldReport `json:"cold_query,omitempty"`
}

func (r *report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// A row is one line of the table.
type row struct {
	name   string
	value  func(*report) float64
	digits int
}

func rows() []row {
	return []row{
		{"samples per CPU-second, flush and settling included", func(r *report) float64 { return r.SamplesPerCPUSecond }, 0},
		{"samples per CPU-second, until the last answer", func(r *report) float64 { return r.SamplesPerCPUSecondAnswered }, 0},
		{"samples per second", func(r *report) float64 { return r.SamplesPerSecond }, 0},
		{"answer p50, ms", func(r *report) float64 { return r.AnswerP50Ms }, 2},
		{"answer p99, ms", func(r *report) float64 { return r.AnswerP99Ms }, 2},
		{"requests sent again", func(r *report) float64 { return float64(r.Retries) }, 0},
		{"flush, s", func(r *report) float64 { return r.FlushSeconds }, 2},
		{"peak RSS, MiB", func(r *report) float64 { return r.PeakRSSMiB }, 0},
		{"bytes per sample on the wire", func(r *report) float64 { return r.WireBytesPerSample }, 2},
		{"bytes per sample in the bucket", func(r *report) float64 { return r.BucketBytesPerSample }, 3},
		{"  of which blocks with their index", func(r *report) float64 { return r.BlockBytesPerSample }, 3},
		{"  of which catalogs", func(r *report) float64 { return r.CatalogBytesPerSample }, 4},
		{"cold query, dependent stages", func(r *report) float64 { return float64(r.cold().Stages) }, 0},
		{"cold query, requests", func(r *report) float64 { return float64(r.cold().Requests) }, 0},
		{"cold query, lists", func(r *report) float64 { return float64(r.cold().Lists) }, 0},
		{"cold query, KiB", func(r *report) float64 { return float64(r.cold().Bytes) / 1024 }, 1},
		{"cold query, series", func(r *report) float64 { return float64(r.cold().Series) }, 0},
		{"cold query, samples", func(r *report) float64 { return float64(r.cold().Samples) }, 0},
	}
}

func (r *report) cold() *coldReport {
	if r.Cold == nil {
		return &coldReport{}
	}
	return r.Cold
}

// writeTable prints the report, with an earlier one and the ratio beside it if compare names its file.
func (r *report) writeTable(w io.Writer, compare string) error {
	var old *report
	if compare != "" {
		data, err := os.ReadFile(compare)
		if err != nil {
			return fmt.Errorf("read earlier run: %w", err)
		}
		old = &report{}
		if err := json.Unmarshal(data, old); err != nil {
			return fmt.Errorf("read earlier run %s: %w", compare, err)
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s; %s\n%d series, %d samples, %d requests\n\n", r.Load, r.Machine, r.Series, r.Samples, r.Requests)
	for _, row := range rows() {
		fmt.Fprintf(tw, "%s\t%.*f\t", row.name, row.digits, row.value(r))
		if old != nil {
			fmt.Fprintf(tw, "was %.*f\t", row.digits, row.value(old))
			if was := row.value(old); was != 0 {
				fmt.Fprintf(tw, "× %.2f\t", row.value(r)/was)
			}
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}
