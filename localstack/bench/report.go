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

	figures
	sections

	Cold *coldReport `json:"cold_query,omitempty"`

	Peers []peer `json:"peers,omitempty"`
	// Skipped says of which peers there are no figures, and why.
	Skipped []string `json:"skipped,omitempty"`
}

// figures are measured of every server.
type figures struct {
	SamplesPerCPUSecond         float64 `json:"samples_per_cpu_second"`
	SamplesPerCPUSecondAnswered float64 `json:"samples_per_cpu_second_answered"`
	SamplesPerSecond            float64 `json:"samples_per_second"`
	AnswerP50Ms                 float64 `json:"answer_p50_ms"`
	AnswerP99Ms                 float64 `json:"answer_p99_ms"`
	Retries                     int     `json:"retries"`
	FlushSeconds                float64 `json:"flush_seconds"`
	PeakRSSMiB                  float64 `json:"peak_rss_mib"`
	// BytesPerSample counts everything in the bucket, or in the directories of a peer that hold its samples and index.
	BytesPerSample float64 `json:"bucket_bytes_per_sample"`

	Queries []queryFigures `json:"queries,omitempty"`
	History []historyPoint `json:"history,omitempty"`
}

// sections are bytes per sample in the bucket; all but catalogs and other are parts of blocks.
type sections struct {
	StoredSamples       int64   `json:"stored_samples"`
	BlockBytesPerSample float64 `json:"block_bytes_per_sample"`
	Chunks              float64 `json:"chunks_bytes_per_sample"`
	Runs                float64 `json:"runs_bytes_per_sample"`
	SeriesPages         float64 `json:"series_pages_bytes_per_sample"`
	Postings            float64 `json:"postings_bytes_per_sample"`
	Footers             float64 `json:"footers_bytes_per_sample"`
	Catalogs            float64 `json:"catalog_bytes_per_sample"`
	Other               float64 `json:"other_bytes_per_sample"`
	// IndexBytesPerSeries is series pages and postings over the series of each block.
	IndexBytesPerSeries float64 `json:"index_bytes_per_series"`
}

// A peer is another server that had the same load.
type peer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	figures
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
		{"bytes per sample in the bucket", func(r *report) float64 { return r.BytesPerSample }, 3},
		{"chunks", func(r *report) float64 { return r.Chunks }, 4},
		{"runs", func(r *report) float64 { return r.Runs }, 4},
		{"series pages", func(r *report) float64 { return r.SeriesPages }, 4},
		{"postings", func(r *report) float64 { return r.Postings }, 4},
		{"metadata and footers", func(r *report) float64 { return r.Footers }, 4},
		{"catalogs", func(r *report) float64 { return r.Catalogs }, 4},
		{"roster, logs, other", func(r *report) float64 { return r.Other }, 4},
		{"bytes of index per series", func(r *report) float64 { return r.IndexBytesPerSeries }, 2},
		{"cold query, dependent stages", func(r *report) float64 { return float64(r.cold().Stages) }, 0},
		{"cold query, requests", func(r *report) float64 { return float64(r.cold().Requests) }, 0},
		{"cold query, lists", func(r *report) float64 { return float64(r.cold().Lists) }, 0},
		{"cold query, KiB", func(r *report) float64 { return float64(r.cold().Bytes) / 1024 }, 1},
		{"cold query, KiB needed", func(r *report) float64 { return float64(r.cold().Needed) / 1024 }, 1},
		{"cold query, 0.000001 USD", func(r *report) float64 { return r.cold().CostUSD * 1e6 }, 1},
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
	for i, q := range r.Queries {
		fmt.Fprintf(tw, "%s, CPU ms\t%.1f\t", q.Name, q.CPUMs)
		if old != nil && i < len(old.Queries) {
			fmt.Fprintf(tw, "was %.1f\t× %.2f\t", old.Queries[i].CPUMs, q.CPUMs/old.Queries[i].CPUMs)
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if err := r.writeHistory(w); err != nil {
		return err
	}
	return r.writePeers(w)
}

// writePeers prints the servers side by side, each with its ratio to Varve.
func (r *report) writePeers(w io.Writer) error {
	for _, s := range r.Skipped {
		fmt.Fprintln(w, "skipped:", s)
	}
	if len(r.Peers) == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "\n\tVarve\t")
	for i := range r.Peers {
		fmt.Fprintf(tw, "%s %s\t÷ Varve\t", r.Peers[i].Name, r.Peers[i].Version)
	}
	fmt.Fprintln(tw)
	line := func(name string, digits int, value func(*figures) float64) {
		own := value(&r.figures)
		fmt.Fprintf(tw, "%s\t%.*f\t", name, digits, own)
		for i := range r.Peers {
			v, ratio := value(&r.Peers[i].figures), "-"
			if own != 0 {
				ratio = fmt.Sprintf("%.2f", v/own)
			}
			fmt.Fprintf(tw, "%.*f\t%s\t", digits, v, ratio)
		}
		fmt.Fprintln(tw)
	}
	line("samples per CPU-second", 0, func(f *figures) float64 { return f.SamplesPerCPUSecond })
	line("samples per second", 0, func(f *figures) float64 { return f.SamplesPerSecond })
	line("answer p50, ms", 2, func(f *figures) float64 { return f.AnswerP50Ms })
	line("answer p99, ms", 2, func(f *figures) float64 { return f.AnswerP99Ms })
	line("peak RSS, MiB", 0, func(f *figures) float64 { return f.PeakRSSMiB })
	line("bytes per sample", 3, func(f *figures) float64 { return f.BytesPerSample })
	for i, q := range r.Queries {
		line(q.Name+", CPU ms", 1, func(f *figures) float64 { return f.Queries[i].CPUMs })
		line(q.Name+", wall ms", 1, func(f *figures) float64 { return f.Queries[i].WallMs })
	}
	return tw.Flush()
}
