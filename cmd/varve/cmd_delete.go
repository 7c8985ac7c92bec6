package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/server"
	"github.com/varvedb/varve/tenant"
)

const deleteHelp = `Deletes the samples of the series that match, in a time range or of all time, and reports on what is left of them.

  varve delete --match 'http_requests_total{user="u1"}' --start 2024-01-01T00:00:00Z
  varve delete --report ID

Servers on the bucket are asked to flush first, at their addresses in the roster. When the command returns, no query sees any more what they
had acknowledged before; what is written later, with the same times too, is there to stay. Servers that cannot be reached are named, and the exit code is 3: what they hold in
memory is not deleted; run the command again with --id and the id it printed when they are back, or were adopted: that deletes what they held, and nothing
that others have written since (if merges have joined the two, it says so, and a delete without --id deletes both). After an interruption, --id does the rest, too.

From the bucket the samples go with the next look of a worker (varve serve, varve lifecycle) after 15 minutes, and with the grace of an hour after that; --wait
stays until then. The report names what still holds them: blocks, logs, snapshots. Snapshots have to be deleted by you; copies in other buckets it does not know.
`

type deleteOptions struct {
	location
	tenant, id, report string
	match              []string
	start, end         string
	wait, json         bool
}

func newDelete(e *environment) *cobra.Command {
	o := &deleteOptions{}
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete series, and report on what is left of them", Long: deleteHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.report != "" && (len(o.match) > 0 || o.start != "" || o.end != "" || o.id != ""):
				return usagef("--report takes the id of a delete and nothing else")
			case o.report == "" && len(o.match) == 0:
				return usagef("--match says what to delete, --report asks for what is left of it; none is given")
			case tenant.Check(o.tenant) != nil:
				return usagef("--tenant: %w", tenant.Check(o.tenant))
			}
			return runDelete(cmd.Context(), o, e)
		},
	}
	f := cmd.Flags()
	o.location.register(f)
	f.StringVar(&o.tenant, "tenant", tenant.Default, "tenant whose series they are")
	f.StringArrayVar(&o.match, "match", nil, `selector of series to delete, such as 'up{job="a"}'; may be repeated`)
	f.StringVar(&o.start, "start", "", "first moment to delete, seconds since 1970, RFC 3339 or now-1h (default the beginning)")
	f.StringVar(&o.end, "end", "", "last moment to delete (default the end)")
	f.StringVar(&o.id, "id", "", "go on with a delete that was interrupted, or choose the id of a new one")
	f.StringVar(&o.report, "report", "", "id of a delete to report on")
	f.BoolVar(&o.wait, "wait", false, "wait until nothing in the bucket holds what was deleted")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runDelete(ctx context.Context, o *deleteOptions, e *environment) (err error) {
	url, err := o.forReading()
	if err != nil {
		return err
	}
	b, err := blob.Open(ctx, url, openers(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	c := catalog.New(b, nil, catalog.Components{})
	id := o.report
	if id == "" {
		done, err := o.delete(ctx, c)
		if done.ID != "" && !o.wait {
			if printErr := printDeleted(e.out, &done, err, o.json); printErr != nil {
				return errors.Join(err, printErr)
			}
		}
		if err != nil {
			return err
		}
		if len(done.Unreached) > 0 {
			return fmt.Errorf("writers %s could not be reached, what they hold is not deleted: %w", strings.Join(done.Unreached, ", "), model.ErrUnavailable)
		}
		if !o.wait {
			return nil
		}
		id = done.ID
	}
	r, err := o.await(ctx, b, c, id)
	if err != nil {
		return err
	}
	return printErasure(e.out, r, o.json)
}

func (o *deleteOptions) delete(ctx context.Context, c *catalog.Store) (lifecycle.Deleted, error) {
	r := model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}
	now := time.Now()
	for _, x := range []struct {
		text string
		ms   *int64
	}{{o.start, &r.MinMs}, {o.end, &r.MaxMs}} {
		if x.text == "" {
			continue
		}
		t, err := parseTime(x.text, now)
		if err != nil {
			return lifecycle.Deleted{}, err
		}
		*x.ms = t.UnixMilli()
	}
	req, err := lifecycle.NewDeleteRequest(o.tenant, o.match, r, o.id)
	if err != nil {
		return lifecycle.Deleted{}, err
	}
	d := lifecycle.Deleter{Catalog: c, Flush: func(ctx context.Context, roster *catalog.Roster) []string {
		return varve.FlushWriters(ctx, roster, nil, nil)
	}}
	return d.Delete(ctx, req)
}

// reportEvery is how often --wait looks.
const reportEvery = 10 * time.Second

// await makes the report, with --wait again and again until all is erased.
func (o *deleteOptions) await(ctx context.Context, b *blob.Bucket, c *catalog.Store, id string) (*lifecycle.Erasure, error) {
	for {
		r, err := lifecycle.ReportErasure(ctx, b, c, o.tenant, id)
		if err != nil || r.Erased || !o.wait {
			return r, err
		}
		if err := (blob.SystemClock{}).Sleep(ctx, reportEvery); err != nil {
			return nil, err
		}
	}
}

func printDeleted(w io.Writer, d *lifecycle.Deleted, failure error, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(d)
	}
	if failure != nil {
		_, err := fmt.Fprintf(w, "delete %s was interrupted; go on with --id %s\n", d.ID, d.ID)
		return err
	}
	_, err := fmt.Fprintf(w, "delete %s: hidden from queries on %d day%s; varve delete --report %s tells when it is erased\n", d.ID, d.Days, plural(d.Days), d.ID)
	return err
}

func printErasure(w io.Writer, r *lifecycle.Erasure, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	fmt.Fprintf(w, "delete %s of %s%s, asked for at %s: ", r.ID, strings.ReplaceAll(r.Matchers, "\n", " or "), deletedTimes(r), time.UnixMilli(r.CreatedMs).UTC().Format(time.RFC3339))
	if r.Erased {
		_, err := fmt.Fprintln(w, "erased, nothing in the bucket holds it")
		return err
	}
	_, err := fmt.Fprintln(w, "not erased yet")
	for _, h := range r.Holders {
		fmt.Fprintf(w, "  %s %s: %s\n", h.Kind, h.Object, h.Why)
	}
	for _, id := range r.Unreached {
		fmt.Fprintf(w, "  writer %s could not be reached: what it held in memory was not deleted\n", id)
	}
	return err
}

// deletedTimes says from when to when was deleted, if that is not everything.
func deletedTimes(r *lifecycle.Erasure) (s string) {
	if r.MinMs > model.MinTimeMs {
		s += " from " + clock(r.MinMs)
	}
	if r.MaxMs < model.MaxTimeMs {
		s += " to " + clock(r.MaxMs)
	}
	return s
}

// deleter is the server.Deleter of a process.
type deleter struct {
	db *varve.DB
	// tidier is nil if other processes look after the bucket.
	tidier *lifecycle.Lifecycle
}

// DeleteSeries implements server.Deleter.
func (d *deleter) DeleteSeries(ctx context.Context, tenantName string, match []string, r model.TimeRange, id string) (server.Deletion, error) {
	out, err := d.db.DeleteSeries(ctx, tenantName, match, r, id)
	return server.Deletion{ID: out.ID, Unreached: out.Unreached}, err
}

// CleanTombstones implements server.Deleter.
func (d *deleter) CleanTombstones(ctx context.Context, tenantName string) error {
	if d.tidier != nil {
		d.tidier.CleanTombstones()
	}
	return d.db.CleanTombstones(ctx, tenantName)
}
