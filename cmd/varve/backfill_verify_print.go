package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/verify"
)

// manyDays is from how many days on only those are listed in which something differs.
const manyDays = 40

// printVerify prints what came of a comparison.
func printVerify(w io.Writer, r *verify.Report) {
	t := &r.Total
	if !r.Complete && len(r.Days) == 0 {
		printLeftOut(w, r.Skipped, r.Named)
		fmt.Fprintln(w, "not complete: nothing was compared")
		return
	}
	fmt.Fprintf(w, "source: %s samples (%s native histograms) of %s series, counted once a day\n", humanize.Comma(t.SourceSamples), humanize.Comma(t.SourceHistograms), humanize.Comma(t.SourceSeries))
	fmt.Fprintf(w, "bucket: %s samples (%s native histograms) of %s series\n", humanize.Comma(t.TargetSamples), humanize.Comma(t.TargetHistograms), humanize.Comma(t.TargetSeries))
	if t.SourceSamples > 0 {
		fmt.Fprintf(w, "from %s to %s\n", clock(r.MinMs), clock(r.MaxMs))
	}
	if t.WithinTolerance > 0 {
		fmt.Fprintf(w, "%s samples differ within the tolerance, or in the form of a histogram only\n", humanize.Comma(t.WithinTolerance))
	}
	printRows(w, t)
	printDays(w, r.Days)
	printDifferences(w, r)
	for i := range r.Queries {
		printParity(w, &r.Queries[i])
	}
	printLeftOut(w, r.Skipped, r.Named)
	for i := range r.Unreadable {
		fmt.Fprintf(w, "could not be read of the bucket: %s\n", r.Unreadable[i].String())
	}
	if r.Complete {
		fmt.Fprintln(w, verdict(r))
	} else {
		fmt.Fprintln(w, "not complete: this is what was compared until then")
	}
}

// printRows tells of what is said beside samples. It is no failure if some of it is missing, as later rows take the place of earlier ones.
func printRows(w io.Writer, t *verify.Counts) {
	for _, c := range []struct {
		what          string
		have, missing int64
	}{{"exemplars", t.SourceExemplars, t.MissingExemplars}, {"metadata of metrics", t.SourceMetadata, t.MissingMetadata}} {
		if c.have > 0 {
			fmt.Fprintf(w, "%s: %s at the source, %s of them not in the bucket, which is no failure\n", c.what, humanize.Comma(c.have), humanize.Comma(c.missing))
		}
	}
}

// printLeftOut names what a backfill leaves out of the source.
func printLeftOut(w io.Writer, counts map[string]int64, named []migrate.Skip) {
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "left out of the source, as by the backfill: %s of kind %s\n", humanize.Comma(counts[kind]), kind)
	}
	for i := range named {
		fmt.Fprintf(w, "  %s\n", named[i].String())
	}
}

// printDays is a table by day: all of them, or if there are many those in which something differs.
func printDays(w io.Writer, days []verify.Day) {
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	shown, same, unread := 0, 0, 0
	for i := range days {
		d := &days[i]
		switch {
		case d.NotRead:
			unread++
			continue
		case len(days) > manyDays && d.Wrong() == 0 && d.ExtraSamples == 0:
			same++
			continue
		}
		if shown++; shown == 1 {
			fmt.Fprintln(out, "\nDAY\tSERIES\tSAMPLES\tIN BUCKET\tMISSING\tDIFFERENT\tEXTRA\t")
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", d.Day, d.SourceSeries, d.SourceSamples, d.TargetSamples, d.MissingSamples, d.Wrong()-d.MissingSamples, d.ExtraSamples)
	}
	_ = out.Flush() // as of all printing here
	if same > 0 {
		fmt.Fprintf(w, "%d more days are equal\n", same)
	}
	if unread > 0 {
		fmt.Fprintf(w, "of %d days of the bucket the source has nothing: they were not looked at\n", unread)
	}
	fmt.Fprintln(w)
}

func printDifferences(w io.Writer, r *verify.Report) {
	for i := range r.Differences {
		d := &r.Differences[i]
		fmt.Fprintf(w, "%s: %s\n", d.Kind, d.Series)
		if d.Samples > 1 {
			fmt.Fprintf(w, "  %s to %s, %s samples; the first: ", clock(d.FirstMs), clock(d.LastMs), humanize.Comma(d.Samples))
		} else {
			fmt.Fprintf(w, "  %s: ", clock(d.FirstMs))
		}
		fmt.Fprintf(w, "source %s, bucket %s\n", orNothing(d.Source), orNothing(d.Target))
		if d.Hint != "" {
			fmt.Fprintf(w, "  %s\n", d.Hint)
		}
	}
	if len(r.Differences) > 0 {
		fmt.Fprintln(w)
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
