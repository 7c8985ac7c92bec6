package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varvedb/varve/query"
)

// envelope is the answer of Prometheus' API.
type envelope struct {
	Status    string   `json:"status"`
	Data      *data    `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

type data struct {
	ResultType parser.ValueType `json:"resultType"`
	Result     parser.Value     `json:"result"`
}

func printResultJSON(w io.Writer, r *promql.Result, expr string) error {
	v := r.Value
	// An empty answer is an empty list, not null.
	switch x := v.(type) {
	case promql.Vector:
		if x == nil {
			v = promql.Vector{}
		}
	case promql.Matrix:
		if x == nil {
			v = promql.Matrix{}
		}
	}
	warnings, infos := annotations(r, expr)
	return json.NewEncoder(w).Encode(envelope{Status: "success", Data: &data{v.Type(), v}, Warnings: warnings, Infos: infos})
}

func printErrorJSON(w io.Writer, err error) error {
	kind := "execution"
	switch exitCode(err) {
	case exitUsage:
		kind = "bad_data"
	case exitUnavailable:
		kind = "unavailable"
	}
	return json.NewEncoder(w).Encode(envelope{Status: "error", ErrorType: kind, Error: err.Error()})
}

// printExplain prints what a query did at the bucket. failure is the error it ended with, which only JSON has, or nil.
func printExplain(w io.Writer, e query.Explain, failure error, asJSON bool) error {
	if asJSON {
		answer := struct {
			query.Explain
			Error string `json:"error,omitempty"`
		}{Explain: e}
		if failure != nil {
			answer.Error = failure.Error()
		}
		return json.NewEncoder(w).Encode(answer)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	k := e.GetsByKind
	fmt.Fprintf(t, "stages\t%d\n", e.Stages)
	fmt.Fprintf(t, "gets\t%d\troster %d, root %d, catalog %d, block %d, log %d\n", e.Gets, k.Roster, k.Root, k.Catalog, k.Block, k.Log)
	fmt.Fprintf(t, "lists\t%d\n", e.Lists)
	fmt.Fprintf(t, "bytes fetched\t%d\tand %d of catalogs\n", e.BytesFetched, e.CatalogBytes)
	fmt.Fprintf(t, "bytes needed\t%d\n", e.BytesNeeded)
	fmt.Fprintf(t, "from caches\t%d\tin %d hits\n", e.CacheBytes, e.CacheHits)
	rollups := ""
	if e.Rollups > 0 {
		rollups = fmt.Sprintf(", %d of them of rollups", e.Rollups)
	}
	fmt.Fprintf(t, "selected\t%d\tblocks%s, %d series in them, %d samples\n", e.Blocks, rollups, e.Series, e.Samples)
	fmt.Fprintf(t, "cost\t%s USD\n", strconv.FormatFloat(e.CostUSD, 'f', -1, 64))
	return t.Flush()
}

// printResult prints a table for people.
func printResult(w io.Writer, v parser.Value) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	switch v := v.(type) {
	case promql.Scalar:
		fmt.Fprintln(t, number(v.V))
	case promql.String:
		fmt.Fprintln(t, v.V)
	case promql.Vector:
		if len(v) > 0 {
			fmt.Fprintln(t, "SERIES\tVALUE\tTIME")
		}
		for _, s := range v {
			text := number(s.F)
			if s.H != nil {
				text = s.H.String()
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", s.Metric, text, clock(s.T))
		}
	case promql.Matrix:
		for i, s := range v {
			if i > 0 {
				fmt.Fprintln(t)
			}
			fmt.Fprintln(t, s.Metric)
			for _, p := range s.Floats {
				fmt.Fprintf(t, "  %s\t%s\n", clock(p.T), number(p.F))
			}
			for _, p := range s.Histograms {
				fmt.Fprintf(t, "  %s\t%s\n", clock(p.T), p.H)
			}
		}
	default:
		return fmt.Errorf("print result of type %s: not known", v.Type())
	}
	return t.Flush()
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// clock is a time as a person reads it, with milliseconds where there are some.
func clock(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	if ms%1000 == 0 {
		return t.Format(time.RFC3339)
	}
	return t.Format("2006-01-02T15:04:05.000Z07:00")
}
