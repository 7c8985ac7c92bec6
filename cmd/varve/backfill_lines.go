package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/lines"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/influx"
)

// influxFlags are those of --from influx.
type influxFlags struct {
	mapping          influx.Mapping
	names, precision string
}

func registerInflux(f *pflag.FlagSet, o *backfillOptions) {
	m := &o.influx.mapping
	*m = influx.DefaultMapping()
	f.StringVar(&m.Separator, "influx-measurement-field-separator", m.Separator, "influx: what stands between measurement and field in the name of a metric")
	f.BoolVar(&m.SkipSingleField, "influx-skip-single-field", false, "influx: the measurement alone is the name, where a line has one field")
	f.BoolVar(&m.SkipMeasurement, "influx-skip-measurement", false, "influx: the field alone is the name")
	f.StringVar(&m.Database, "influx-database", "", "influx: database of lines of which no comment says it, as in exports with -lponly and of InfluxDB 2")
	f.StringVar(&m.Policy, "influx-retention-policy", "", "influx: retention policy of such lines")
	f.StringVar(&m.DatabaseLabel, "influx-db-label", m.DatabaseLabel, "influx: label for the database; empty for none")
	f.StringVar(&m.PolicyLabel, "influx-rp-label", m.PolicyLabel, "influx: label for the retention policy; empty for none, which mixes them")
	f.StringVar(&m.DefaultPolicy, "influx-default-rp", m.DefaultPolicy, "influx: retention policy that gets no label")
	f.StringVar(&o.influx.names, "influx-names", "utf8", "influx: utf8 keeps names, underscore makes them such as Prometheus had before UTF-8")
	f.StringVar(&o.influx.precision, "influx-precision", "ns", "influx: unit of times: ns, us, ms, s, m or h")
}

func openInflux(_ context.Context, o *backfillOptions, args []string, skips *migrate.Skips) (migrate.Source, error) {
	units := map[string]time.Duration{
		"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
	}
	unit, ok := units[o.influx.precision]
	if !ok {
		return nil, usagef("--influx-precision is %q, want ns, us, ms, s, m or h", o.influx.precision)
	}
	switch o.influx.names {
	case "utf8", "underscore":
	default:
		return nil, usagef("--influx-names is %q, want utf8 or underscore", o.influx.names)
	}
	m := o.influx.mapping
	m.Underscore = o.influx.names == "underscore"
	for _, label := range []string{m.DatabaseLabel, m.PolicyLabel} {
		if label != "" && !model.ValidMetric(label) {
			return nil, usagef("%q is no name of a label", label)
		}
	}
	if err := readable(args); err != nil {
		return nil, err
	}
	return lines.NewInflux(args, lines.InfluxOptions{Mapping: m, Unit: unit}, skips, o.fileOptions()), nil
}

// csvFlags are those of --from csv.
type csvFlags struct {
	columns, delimiter string
	header             bool
	labels             []string
}

func registerCSV(f *pflag.FlagSet, o *backfillOptions) {
	f.StringVar(&o.csv.columns, "csv-columns", "", "csv: what the columns are: COLUMN:metric:NAME, COLUMN:label:NAME and COLUMN:time:FORMAT with commas between them, see docs/backfill.md")
	f.StringVar(&o.csv.delimiter, "csv-delimiter", ",", "csv: what stands between columns, one character or tab")
	f.BoolVar(&o.csv.header, "csv-header", false, "csv: the first row names the columns; it does if --csv-columns has names")
	f.StringArrayVar(&o.csv.labels, "csv-label", nil, "csv: NAME=VALUE, a label of all series")
}

func openCSV(_ context.Context, o *backfillOptions, args []string, skips *migrate.Skips) (migrate.Source, error) {
	if o.csv.columns == "" {
		return nil, usagef("--csv-columns is not given, as in 1:time:unix_s,2:label:host,3:metric:load")
	}
	columns, err := lines.ParseCSVColumns(o.csv.columns)
	if err != nil {
		return nil, usagef("--csv-columns: %w", err)
	}
	c := lines.CSVOptions{Columns: columns, Header: o.csv.header}
	switch d := o.csv.delimiter; {
	case d == "tab" || d == `\t`:
		c.Delimiter = '\t'
	case len(d) != 1 || strings.ContainsAny(d, "\"\r\n\x00") || d[0] >= 0x80:
		return nil, usagef("--csv-delimiter is %q, want one character or tab", d)
	default:
		c.Delimiter = d[0]
	}
	for _, l := range o.csv.labels {
		name, value, ok := strings.Cut(l, "=")
		if !ok || !model.ValidMetric(name) {
			return nil, usagef("--csv-label is %q, want NAME=VALUE", l)
		}
		c.Labels = append(c.Labels, name, value)
	}
	if err := readable(args); err != nil {
		return nil, err
	}
	return lines.NewCSV(args, c, skips, o.fileOptions()), nil
}

// readable says at once which file is not there, as they are read in turn.
func readable(paths []string) error {
	for _, p := range paths {
		if p == "-" {
			continue
		}
		info, err := os.Stat(p)
		if err != nil {
			return usagef("%w", err)
		}
		if info.IsDir() {
			return usagef("%s is a directory, want files", p)
		}
	}
	return nil
}
