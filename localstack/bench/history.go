package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// A historyPoint is what a server has cost when it has seen so many days.
type historyPoint struct {
	Days    int   `json:"days"`
	Samples int64 `json:"samples"`
	// SamplesPerCPUSecond is of the time since the point before, flushes included.
	SamplesPerCPUSecond float64 `json:"samples_per_cpu_second"`
	RSSMiB              float64 `json:"rss_mib"`
	PeakRSSMiB          float64 `json:"peak_rss_mib"`
}

// historyDays are the days after which a point is taken.
var historyDays = []int{1, 2, 5, 10, 20, 50, 100, 200, 500}

// days splits a load by the time since its beginning.
func (l *load) days() []*load {
	day := (24 * time.Hour).Milliseconds()
	out := make([]*load, (l.to-l.from+day-1)/day)
	for n := range out {
		out[n] = &load{senders: make([][]request, len(l.senders))}
	}
	for i, requests := range l.senders {
		for _, r := range requests {
			d := out[min(int64(len(out)-1), max(0, (r.at-l.from)/day))]
			d.senders[i] = append(d.senders[i], r)
			d.samples += int64(r.samples)
		}
	}
	return out
}

// sendDays sends the load day by day with a flush after each, so that blocks and catalogs grow as they would in life, and takes points.
func (s *server) sendDays(ctx context.Context, p *process.Process, addr string, l *load, f *figures, say func(string, ...any)) error {
	before, err := p.Usage()
	if err != nil {
		return err
	}
	var sent, since int64
	points := historyDays
	days := l.days()
	for n, d := range days {
		if _, err := d.send(ctx, "http://"+addr+"/api/v1/write"); err != nil {
			return err
		}
		if err := post(ctx, "http://"+addr+s.flush); err != nil {
			return err
		}
		sent += d.samples
		for len(points) > 0 && points[0] < n+1 {
			points = points[1:]
		}
		if n+1 != len(days) && (len(points) == 0 || points[0] != n+1) {
			continue
		}
		u, err := p.Usage()
		if err != nil {
			return err
		}
		h := historyPoint{
			Days: n + 1, Samples: sent, SamplesPerCPUSecond: float64(sent-since) / (u.CPU - before.CPU).Seconds(),
			RSSMiB: float64(u.RSS) / (1 << 20), PeakRSSMiB: float64(u.PeakRSS) / (1 << 20),
		}
		f.History = append(f.History, h)
		say("%s: %d days, %d samples: %.2f M samples per CPU-second, RSS %.0f MiB, peak %.0f MiB", s.name, h.Days, h.Samples, h.SamplesPerCPUSecond/1e6, h.RSSMiB, h.PeakRSSMiB)
		before, since = u, sent
	}
	return nil
}

// writeHistory prints how the figures change as history grows.
func (f *figures) writeHistory(w io.Writer) error {
	if len(f.History) == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "\ndays\tsamples\tsamples per CPU-second\tRSS, MiB\tpeak RSS, MiB\t\n")
	for _, h := range f.History {
		fmt.Fprintf(tw, "%d\t%d\t%.0f\t%.0f\t%.0f\t\n", h.Days, h.Samples, h.SamplesPerCPUSecond, h.RSSMiB, h.PeakRSSMiB)
	}
	return tw.Flush()
}
