package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
)

// print prints the report as tables.
func (r *report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if r.Roster != nil {
		title(t, "Roster", len(r.Roster), "WRITER\tSTATE\tADDRESS\tDURABILITY\tSHIPPING\tRELEASED\tSTARTED")
		for _, x := range r.Roster {
			row(t, x.ID, x.State, orDash(x.Address), x.Durability, onOff(x.Shipping), x.Released, clock(x.StartedMs))
		}
	}
	if r.Catalog != nil {
		blank(t, r.Roster != nil)
		r.Catalog.printTenant(t)
		title(t, "Catalogs of tenant "+r.Catalog.Tenant, len(r.Catalog.Days), "DAY\tCOMMITS\tBLOCKS\tSAMPLES\tBYTES\tBYTES/SAMPLE\tROLLUPS\tCATALOG\tRETIRED\tDROPPED\tFLUSHED")
		for _, x := range r.Catalog.Days {
			row(t, x.Day, x.Generation, x.Blocks, x.Samples, size(x.BlockBytes), perSample(x.BlockBytes, x.Samples), rollups(&x), size(int64(x.Bytes)), x.Retired, x.Dropped, flushed(x.Flushed))
		}
	}
	if r.Blocks != nil {
		blank(t, r.Catalog != nil)
		title(t, "Blocks", len(r.Blocks), "DAY\tID\tFORMAT\tORDER\tFROM\tTO\tSERIES\tSAMPLES\tBYTES\tBYTES/SAMPLE\tWRITER\tGENERATION")
		for _, x := range r.Blocks {
			row(t, x.Day, x.ID, x.Format, x.Order, clock(x.MinMs), clock(x.MaxMs), x.Series, x.Samples, size(x.Bytes), perSample(x.Bytes, x.Samples), origin(&x), x.Generation)
		}
	}
	if len(r.Quarantined) > 0 {
		blank(t, true)
		title(t, "Quarantined blocks, which merges leave alone", len(r.Quarantined), "DAY\tID\tSINCE\tREASON")
		for _, x := range r.Quarantined {
			row(t, x.Day, x.ID, clock(x.AtMs), x.Reason)
		}
	}
	if len(r.Claims) > 0 {
		blank(t, true)
		title(t, "Jobs that a worker has claimed, and others leave alone until then", len(r.Claims), "DAY\tJOB\tWORKER\tUNTIL")
		for _, x := range r.Claims {
			row(t, x.Day, x.Job, x.Holder, clock(x.UntilMs))
		}
	}
	if r.WAL != nil {
		blank(t, r.Blocks != nil)
		segments(t, "Log in the data directory "+r.WAL.DataDir, r.WAL.Local)
		blank(t, true)
		segments(t, "Log in the bucket, as far as it is not released", r.WAL.Shipped)
	}
	return t.Flush()
}

func segments(w io.Writer, name string, rows []segmentRow) {
	title(w, name, len(rows), "WRITER\tGENERATION\tSEGMENT\tBYTES\tSTATE")
	for _, x := range rows {
		row(w, x.Writer, x.Generation, x.Seq, size(x.Bytes), x.State)
	}
}

// title begins a table; an empty one is just that.
func title(w io.Writer, name string, rows int, header string) {
	if rows == 0 {
		fmt.Fprintf(w, "%s: none\n", name)
		return
	}
	fmt.Fprintf(w, "%s: %d\n%s\n", name, rows, header)
}

// blank separates tables.
func blank(w io.Writer, wanted bool) {
	if wanted {
		fmt.Fprintln(w)
	}
}

func row(w io.Writer, cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = fmt.Sprint(c)
	}
	fmt.Fprintln(w, strings.Join(text, "\t"))
}

// rollups says what a day has of them.
func rollups(x *dayRow) string {
	switch {
	case x.Thinned && x.Rollups == 0:
		return "expired"
	case x.Thinned:
		return size(x.RollupBytes) + ", samples have expired"
	case x.Rollups == 0:
		return "-"
	case x.Rolled < x.Blocks:
		return fmt.Sprintf("%s of %d blocks", size(x.RollupBytes), x.Rolled)
	}
	return size(x.RollupBytes)
}

// origin says who flushed a block.
func origin(x *blockRow) string {
	if strings.HasPrefix(x.Format, "rollup") {
		return "-"
	}
	if x.Merged > 0 {
		return fmt.Sprintf("(merge of %d)", x.Merged)
	}
	return orDash(x.Writer)
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func perSample(bytes, samples int64) string {
	if samples == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(bytes)/float64(samples))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// flushed shows who flushed up to which generation.
func flushed(m map[string]uint64) string {
	var parts []string
	for _, w := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s:%d", w, m[w]))
	}
	return strings.Join(parts, " ")
}
