package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// snapshotRow is a snapshot in a report.
type snapshotRow struct {
	Tenant    string `json:"tenant"`
	Name      string `json:"name"`
	CreatedMs int64  `json:"created_ms"`
	TakenMs   int64  `json:"taken_ms,omitempty"`
	Complete  bool   `json:"complete"`
	Days      int    `json:"days"`
	Blocks    int64  `json:"blocks"`
	Samples   int64  `json:"samples"`
	Bytes     int64  `json:"bytes"`
	// Unreached are servers that did not flush: what they have not flushed is not in the snapshot.
	Unreached []string `json:"unreached,omitempty"`
}

// restoreRow is a restore in a report.
type restoreRow struct {
	lifecycle.RestoreReport
	// Unreached are servers that did not flush before an exact restore: what they had not flushed is still there.
	Unreached []string `json:"unreached,omitempty"`
}

func rowOf(s *catalog.Snapshot) snapshotRow {
	r := snapshotRow{Tenant: s.Tenant, Name: s.Name, CreatedMs: s.CreatedMs, TakenMs: s.TakenMs, Complete: true, Days: len(s.Days)}
	r.Blocks, r.Samples, r.Bytes = s.Total()
	return r
}

func (r *snapshotRow) String() string {
	return fmt.Sprintf("snapshot %s of tenant %s: %d days, %d blocks, %s samples, %s", r.Name, r.Tenant, r.Days, r.Blocks, humanize.Comma(r.Samples), size(r.Bytes))
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// flushWriters has the servers flush that can be reached. Of the others, which it returns, it warns of the harm.
func flushWriters(ctx context.Context, c *catalog.Store, e *environment, harm string) (unreached []string, err error) {
	roster, err := c.Roster(ctx, nil)
	if err != nil {
		return nil, err
	}
	unreached = varve.FlushWriters(ctx, roster, nil, nil)
	for _, id := range unreached {
		fmt.Fprintf(e.err, "warning: writer %s did not flush, %s\n", id, harm)
	}
	return unreached, nil
}

func createSnapshot(ctx context.Context, o *snapshotOptions, name string, b *blob.Bucket, e *environment) error {
	c := catalog.New(b, nil, catalog.Components{})
	var unreached []string
	if !o.skipHead {
		var err error
		if unreached, err = flushWriters(ctx, c, e, "its recent samples are not in the snapshot"); err != nil {
			return err
		}
	}
	create := c.CreateSnapshot
	if o.finish {
		create = c.FinishSnapshot
	}
	s, err := create(ctx, o.tenant, name)
	if err != nil {
		return err
	}
	r := rowOf(s)
	r.Unreached = unreached
	if o.json {
		return printJSON(e.out, r)
	}
	_, err = fmt.Fprintln(e.out, "created "+r.String())
	return err
}

func listSnapshots(ctx context.Context, o *snapshotOptions, _ string, b *blob.Bucket, e *environment) error {
	c := catalog.New(b, nil, catalog.Components{})
	root, err := c.Root(ctx, o.tenant, nil)
	if err != nil {
		return err
	}
	rows := []snapshotRow{}
	for _, ref := range root.Snapshots {
		r := snapshotRow{Tenant: o.tenant, Name: ref.Name, CreatedMs: ref.CreatedMs}
		if ref.Complete {
			s, err := c.OpenSnapshot(ctx, o.tenant, ref)
			if err != nil {
				return err
			}
			r = rowOf(s)
		}
		rows = append(rows, r)
	}
	if o.json {
		return printJSON(e.out, rows)
	}
	t := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	title(t, "Snapshots of tenant "+o.tenant, len(rows), "NAME\tCREATED\tSTATE\tDAYS\tBLOCKS\tSAMPLES\tBYTES")
	for _, r := range rows {
		state := "complete"
		if !r.Complete {
			state = "being made"
		}
		row(t, r.Name, clock(r.CreatedMs), state, r.Days, r.Blocks, humanize.Comma(r.Samples), size(r.Bytes))
	}
	return t.Flush()
}

// snapshotDayRow is a day of a snapshot.
type snapshotDayRow struct {
	Day     string `json:"day"`
	Blocks  int64  `json:"blocks"`
	Samples int64  `json:"samples"`
	Bytes   int64  `json:"bytes"`
}

func showSnapshot(ctx context.Context, o *snapshotOptions, name string, b *blob.Bucket, e *environment) error {
	c := catalog.New(b, nil, catalog.Components{})
	root, err := c.Root(ctx, o.tenant, nil)
	if err != nil {
		return err
	}
	ref, err := root.Snapshot(name)
	if err != nil {
		return err
	}
	s, err := c.OpenSnapshot(ctx, o.tenant, ref)
	if err != nil {
		return err
	}
	days := make([]snapshotDayRow, len(s.Days))
	for i, d := range s.Days {
		days[i] = snapshotDayRow{d.Day.Dashed(), d.Blocks, d.Samples, d.Bytes}
	}
	r := rowOf(s)
	if o.json {
		return printJSON(e.out, struct {
			snapshotRow
			Days []snapshotDayRow `json:"by_day"`
		}{r, days})
	}
	fmt.Fprintln(e.out, r.String()+", taken "+clock(r.TakenMs))
	t := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	row(t, "DAY", "BLOCKS", "SAMPLES", "BYTES")
	for _, d := range days {
		row(t, d.Day, d.Blocks, humanize.Comma(d.Samples), size(d.Bytes))
	}
	return t.Flush()
}

func deleteSnapshot(ctx context.Context, o *snapshotOptions, name string, b *blob.Bucket, e *environment) error {
	if err := catalog.New(b, nil, catalog.Components{}).DeleteSnapshot(ctx, o.tenant, name); err != nil {
		return err
	}
	if o.json {
		return printJSON(e.out, map[string]string{"tenant": o.tenant, "deleted": name})
	}
	_, err := fmt.Fprintf(e.out, "deleted snapshot %s of tenant %s\n", name, o.tenant)
	return err
}

func exportSnapshot(ctx context.Context, o *snapshotOptions, name string, b *blob.Bucket, e *environment) (err error) {
	if o.to == "" {
		return usagef("export needs --to, the URL of a bucket")
	}
	to, err := blob.Open(ctx, forWriting(o.to), openers(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	bar := newJobBar(e.err)
	place := func(b *blob.Bucket) lifecycle.Place {
		return lifecycle.Place{Bucket: b, Catalog: catalog.New(b, nil, catalog.Components{})}
	}
	r, err := lifecycle.Export(ctx, place(b), place(to), o.tenant, name, func(done, total int64) {
		bar.show(lifecycle.Progress{Tenant: o.tenant, Job: "export", Done: done, Total: total})
	})
	bar.end()
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(e.out, r)
	}
	_, err = fmt.Fprintf(e.out, "exported snapshot %s of tenant %s: %d days, %d blocks of %s, %d of them copied now\n", name, o.tenant, r.Days, r.Blocks, size(r.Bytes), r.Copied)
	return err
}

func restoreSnapshot(ctx context.Context, o *snapshotOptions, name string, b *blob.Bucket, e *environment) error {
	opts := lifecycle.RestoreOptions{Exact: o.exact, UndoDeletes: o.undoDeletes, DryRun: !o.yes}
	if o.start != "" || o.end != "" {
		opts.Days = &model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}
		for _, bound := range []struct {
			text string
			ms   *int64
		}{{o.start, &opts.Days.MinMs}, {o.end, &opts.Days.MaxMs}} {
			if bound.text == "" {
				continue
			}
			day, err := parseDay(bound.text, time.Now())
			if err != nil {
				return err
			}
			*bound.ms = day.Range().MinMs
		}
	}
	c := catalog.New(b, nil, catalog.Components{})
	r := restoreRow{}
	var err error
	if o.exact && o.yes { // what is flushed later would come back
		if r.Unreached, err = flushWriters(ctx, c, e, "what it holds in memory stays"); err != nil {
			return err
		}
	}
	if r.RestoreReport, err = lifecycle.Restore(ctx, lifecycle.Place{Bucket: b, Catalog: c}, o.tenant, name, opts); err != nil {
		return err
	}
	if o.json {
		return printJSON(e.out, r)
	}
	did := "restored"
	if r.DryRun {
		did = "would restore (say --yes to do it)"
	}
	fmt.Fprintf(e.out, "%s %d of %d days: %d blocks become live again, %d go out of use\n", did, r.Changed, r.Days, r.Revived, r.Retired)
	if r.Lost > 0 {
		fmt.Fprintf(e.out, "lost with --exact: %d blocks written since, up to %s samples\n", r.Lost, humanize.Comma(r.LostSamples))
	}
	deletes := catalog.Asked(r.Deletes)
	if len(deletes) > 0 {
		fmt.Fprintf(e.out, "deletes since, whose series come back: %s\n", strings.Join(deletes, ", "))
	}
	if len(deletes) < len(r.Deletes) {
		fmt.Fprintln(e.out, "what retention rules have hidden since comes back, and expires again unless the rules are changed first")
	}
	return nil
}
