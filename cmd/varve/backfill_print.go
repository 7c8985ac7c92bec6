package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/varvedb/varve/migrate"
)

// printBackfill prints what came of a job.
func printBackfill(w io.Writer, r *migrate.Report) {
	did, about := "took over", ""
	if r.DryRun {
		did, about = "would take over", "about "
	}
	fmt.Fprintf(w, "%s %s samples (%s native histograms) in %d blocks, %s%s; %d days", did, humanize.Comma(r.Samples), humanize.Comma(r.Histograms),
		r.Blocks, about, size(r.Bytes), r.Days)
	if r.Already > 0 {
		fmt.Fprintf(w, ", of which %d were complete already", r.Already)
	}
	fmt.Fprintln(w)
	if r.Samples > 0 {
		fmt.Fprintf(w, "from %s to %s; %s series, counted once a block\n", backfillTime(r.MinMs), backfillTime(r.MaxMs), humanize.Comma(r.Series))
	}
	if r.Exemplars+r.Metadata > 0 {
		fmt.Fprintf(w, "beside them exemplars: %s, metadata of metrics: %s\n", humanize.Comma(r.Exemplars), humanize.Comma(r.Metadata))
	}
	if r.Estimated {
		fmt.Fprintln(w, "all of this is an estimate by what blocks say of themselves; none was read")
	}
	if r.Dropped > 0 {
		fmt.Fprintf(w, "%s series of a day were dropped by relabelling\n", humanize.Comma(r.Dropped))
	}
	if r.DryRun && r.Samples > 0 {
		write, month := backfillCost(r)
		fmt.Fprintf(w, "at list prices of S3 Standard (us-east-1): about %.2f USD to write, %.2f USD a month to keep\n", write, month)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Skipped)) {
		fmt.Fprintf(w, "left out: %s of kind %s\n", humanize.Comma(r.Skipped[kind]), kind)
	}
	for i := range r.Named {
		fmt.Fprintf(w, "  %s\n", r.Named[i].String())
	}
}

func backfillTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// backfillCost is what the blocks cost to write, and to keep for a month, in USD.
func backfillCost(r *migrate.Report) (write, month float64) {
	const perPut, perGiBMonth = 0.005 / 1000, 0.023
	return float64(r.Requests) * perPut, float64(r.Bytes) / (1 << 30) * perGiBMonth
}

// backfillBar shows how far a job is: a bar on a terminal, or a line of JSON a second.
type backfillBar struct {
	title string
	json  *json.Encoder
	w     *os.File
	bar   *progressbar.ProgressBar
	shown time.Duration
}

func newBackfillBar(e *environment, asJSON bool) *backfillBar {
	return newProgressBar(e, asJSON, "backfill: samples")
}

func newProgressBar(e *environment, asJSON bool, title string) *backfillBar {
	b := &backfillBar{title: title}
	if asJSON {
		b.json = json.NewEncoder(e.out)
	} else if f, ok := e.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.w = f
	}
	return b
}

// show is migrate.Components.Progress.
func (b *backfillBar) show(p migrate.Progress) {
	switch {
	case b.json != nil:
		if b.shown == 0 || p.Elapsed-b.shown >= time.Second {
			b.shown = max(p.Elapsed, 1)
			_ = b.json.Encode(map[string]any{"progress": p, "elapsed_s": math.Round(p.Elapsed.Seconds()), "left_s": secondsLeft(p)}) // the summary tells whether output works
		}
	case b.w != nil:
		if p.ExpectedMs > 0 {
			b.showFetch(p)
			return
		}
		if b.bar == nil {
			total := p.Expected
			if total == 0 {
				total = -1
			}
			b.bar = b.newBar(total, "backfill: samples", progressbar.OptionShowCount(), progressbar.OptionShowIts())
		}
		if p.DownloadTotal > 0 {
			b.bar.Describe(fmt.Sprintf("backfill: %s of at most %s fetched, samples", size(p.Downloaded), size(p.DownloadTotal)))
		}
		_ = b.bar.Set64(min(p.Samples, max(p.Expected, 0))) // a bar that cannot be drawn is no trouble
	}
}

func (b *backfillBar) newBar(total int64, what string, more ...progressbar.Option) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total, append(more, progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(b.w),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())...)
}

// showFetch shows how much of the time that is asked of a server for has come: how many samples there are, nobody knows before.
func (b *backfillBar) showFetch(p migrate.Progress) {
	if b.bar == nil {
		b.bar = b.newBar(p.ExpectedMs, "backfill")
	}
	rate := float64(p.Fetched) / max(p.Elapsed.Seconds(), 1)
	b.bar.Describe(fmt.Sprintf("backfill: %s samples (%s/s), day %d of %d", humanize.Comma(p.Fetched), humanize.SIWithDigits(rate, 1, ""), min(p.Days+1, p.DaysTotal), p.DaysTotal))
	_ = b.bar.Set64(min(p.FetchedMs, p.ExpectedMs)) // a bar that cannot be drawn is no trouble
}

func (b *backfillBar) end() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

// secondsLeft is about how long the job still takes; -1 if that is not known.
func secondsLeft(p migrate.Progress) float64 {
	if p.FetchedMs > 0 {
		return math.Round(max(0, p.Elapsed.Seconds()*float64(p.ExpectedMs-p.FetchedMs)/float64(p.FetchedMs)))
	}
	if p.Samples == 0 || p.Expected == 0 {
		return -1
	}
	return math.Round(max(0, p.Elapsed.Seconds()*float64(p.Expected-p.Samples)/float64(p.Samples)))
}
