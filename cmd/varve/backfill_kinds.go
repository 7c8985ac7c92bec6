package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/lines"
	"github.com/varvedb/varve/migrate/prom"
)

// backfillKind is something that history is read from.
type backfillKind struct {
	// name is what --from says, args what comes behind it, help what it is.
	name, args, help string
	// flags adds those that only this kind knows, or is nil; like names the kind whose flags it knows instead.
	flags func(f *pflag.FlagSet, o *backfillOptions)
	like  string
	// tenants: what is read has several tenants, and --source-tenant names one.
	tenants bool
	// open opens what the arguments name, of which there is one at least.
	open func(ctx context.Context, o *backfillOptions, args []string, skips *migrate.Skips) (migrate.Source, error)
}

func backfillKinds() []backfillKind {
	return []backfillKind{
		{name: "prometheus", args: "DIR", help: "a data directory of Prometheus or a snapshot of one: blocks and log; or a single block", open: openPrometheus},
		{name: "openmetrics", args: "FILE…", help: "OpenMetrics with times", open: openText},
		{name: "text", args: "FILE…", help: "Prometheus' text format with times", open: openText},
		{name: "victoria", args: "URL|FILE…", help: "VictoriaMetrics: a server, or lines of JSON of its /api/v1/export", like: "remote-read", open: openVictoria},
		{name: "influx", args: "FILE…", help: "line protocol of InfluxDB: of influx_inspect export or influxd inspect export-lp", flags: registerInflux, open: openInflux},
		{name: "csv", args: "FILE…", help: "CSV with a mapping of its columns", flags: registerCSV, open: openCSV},
		{name: "remote-read", args: "URL", help: "a server that speaks Prometheus' remote read", flags: registerLive, open: openRemoteRead},
		{name: "thanos", args: "URL", help: "the bucket of a Thanos: blocks", flags: registerBucketed, tenants: true, open: openBucketed},
		{name: "mimir", args: "URL", help: "the bucket of a Mimir: blocks of --source-tenant", like: "thanos", tenants: true, open: openBucketed},
		{name: "cortex", args: "URL", help: "the bucket of a Cortex, the same", like: "thanos", tenants: true, open: openBucketed},
		{name: "varve", args: "URL", help: "another bucket of ours: blocks and shipped logs of a tenant", flags: registerVarve, tenants: true, open: openVarve},
	}
}

func backfillKindNames() []string {
	var names []string
	for _, k := range backfillKinds() {
		names = append(names, k.name)
	}
	return names
}

func backfillHelp() string {
	var b strings.Builder
	b.WriteString("Brings history in: writes blocks straight into the bucket and commits them, day by day. No server is needed, and one may run beside it.\n\n")
	for _, k := range backfillKinds() {
		fmt.Fprintf(&b, "  --from %-26s %s\n", k.name+" "+k.args, k.help)
	}
	b.WriteString(`
Files may end with .gz or .zst; - is standard input. It may be ended at any moment, and run again: what was done is not done again, what was half done is completed.
Where a series has another value for a time that is in the bucket already, the new one is shown.

What cannot be read is named, counted and left out; --strict stops at the first. Docs: docs/backfill.md.
`)
	return b.String()
}

// source opens what is to be read.
func (o *backfillOptions) source(ctx context.Context, args []string, skips *migrate.Skips) (migrate.Source, error) {
	for _, k := range backfillKinds() {
		if k.name != o.from {
			continue
		}
		if err := o.foreignFlag(&k); err != nil {
			return nil, err
		}
		if o.sourceTenant != "" && !k.tenants && !o.isConfigured("source-tenant") {
			return nil, usagef("--source-tenant is of no use with --from %s: it is for thanos, mimir, cortex, varve", k.name)
		}
		return k.open(ctx, o, args, skips)
	}
	names := strings.Join(backfillKindNames(), ", ")
	if o.from == "" {
		return nil, usagef("--from is not given: %s", names)
	}
	return nil, usagef("--from is %q, want one of %s", o.from, names)
}

// registerKinds adds the flags of all kinds, and notes whose they are.
func (o *backfillOptions) registerKinds(f *pflag.FlagSet) {
	o.flags, o.flagKind = f, map[string]string{}
	for _, k := range backfillKinds() {
		if k.flags == nil {
			continue
		}
		own := pflag.NewFlagSet(k.name, pflag.ContinueOnError)
		k.flags(own, o)
		own.VisitAll(func(one *pflag.Flag) { o.flagKind[one.Name] = k.name })
		f.AddFlagSet(own)
	}
}

// foreignFlag is an error if a flag was given that the kind would pass over; those of the configuration may be for others.
func (o *backfillOptions) foreignFlag(kind *backfillKind) (err error) {
	asks := o.flags.Lookup("source-url") != nil // with what --http-config says, whatever the kind
	o.flags.Visit(func(one *pflag.Flag) {
		if _, ok := one.Annotations[configured]; ok || asks && one.Name == "http-config" {
			return
		}
		of := o.flagKind[one.Name]
		if err != nil || of == "" || of == kind.name || of == kind.like {
			return
		}
		err = usagef("--%s is of no use with --from %s: it is for %s", one.Name, kind.name, strings.Join(kindsWith(of), ", "))
	})
	return err
}

// isConfigured reports whether a flag has its value from the configuration or the environment.
func (o *backfillOptions) isConfigured(name string) bool {
	_, ok := o.flags.Lookup(name).Annotations[configured]
	return ok
}

// kindsWith are the kinds that know the flags of one.
func kindsWith(name string) (names []string) {
	for _, k := range backfillKinds() {
		if k.name == name || k.like == name {
			names = append(names, k.name)
		}
	}
	return names
}

// noServerFlag is an error if a flag for servers was given, and what is read are files.
func (o *backfillOptions) noServerFlag() (err error) {
	asks := o.flags.Lookup("source-url") != nil
	o.flags.Visit(func(one *pflag.Flag) {
		if _, ok := one.Annotations[configured]; ok || asks && one.Name == "http-config" {
			return
		}
		if err == nil && o.flagKind[one.Name] == "remote-read" {
			err = usagef("--%s is of no use with files: it is for servers", one.Name)
		}
	})
	return err
}

func (o *backfillOptions) sortBytes() int64 { return int64(o.sortMiB) << 20 }

func (o *backfillOptions) fileOptions() *lines.FileOptions {
	return &lines.FileOptions{TempDir: o.tempDir, SortBytes: o.sortBytes(), Stdin: os.Stdin}
}

func openPrometheus(_ context.Context, o *backfillOptions, args []string, skips *migrate.Skips) (migrate.Source, error) {
	if len(args) != 1 {
		return nil, usagef("want one directory, got %d: %s", len(args), strings.Join(args, " "))
	}
	if isServer(args[0]) {
		return nil, usagef("%s is a server, and --from prometheus wants a directory: --from remote-read asks servers", blob.Redact(args[0]))
	}
	return prom.OpenTSDB(args[0], skips, &prom.TSDBOptions{TempDir: o.tempDir, SortBytes: o.sortBytes()})
}

func openText(_ context.Context, o *backfillOptions, args []string, skips *migrate.Skips) (migrate.Source, error) {
	return lines.NewText(args, o.from == "openmetrics", skips, o.fileOptions()), nil
}

func openVictoria(_ context.Context, o *backfillOptions, args []string, skips *migrate.Skips) (migrate.Source, error) {
	if isServer(args[0]) {
		return openVictoriaServer(o, args, skips)
	}
	if err := o.noServerFlag(); err != nil {
		return nil, err
	}
	return lines.NewVictoria(args, skips, o.fileOptions()), nil
}
