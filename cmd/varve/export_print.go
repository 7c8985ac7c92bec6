package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/dustin/go-humanize"

	"github.com/varvedb/varve/migrate/export"
)

// printExport prints what came of an export.
func printExport(w io.Writer, r *export.Report) {
	if r.DryRun {
		fmt.Fprintf(w, "would write %s samples (%s native histograms); %d days\n", humanize.Comma(r.Samples), humanize.Comma(r.Histograms), r.Days)
	} else {
		what := "files"
		if r.To == "tsdb" {
			what = "blocks"
		}
		fmt.Fprintf(w, "wrote %s samples (%s native histograms) in %d %s, %s; %d days\n", humanize.Comma(r.Samples-gone(r)), humanize.Comma(r.Histograms-r.Left[export.LeftHistograms]),
			r.Files, what, size(r.Bytes), r.Days)
	}
	if r.Samples > 0 {
		fmt.Fprintf(w, "from %s to %s; %s series, counted once a day\n", backfillTime(r.MinMs), backfillTime(r.MaxMs), humanize.Comma(r.Series))
	}
	for _, what := range slices.Sorted(maps.Keys(r.Left)) {
		fmt.Fprintf(w, "%s cannot hold: %s %s\n", r.To, humanize.Comma(r.Left[what]), what)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Skipped)) {
		fmt.Fprintf(w, "left out: %s of kind %s\n", humanize.Comma(r.Skipped[kind]), kind)
	}
	for i := range r.Named {
		fmt.Fprintf(w, "  %s\n", r.Named[i].String())
	}
}

// gone are samples that were read and not written.
func gone(r *export.Report) int64 {
	return r.Left[export.LeftStale] + r.Left[export.LeftHistograms] + r.Left[export.LeftNameless]
}
