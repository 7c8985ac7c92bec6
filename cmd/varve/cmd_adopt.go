package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/tenant"
)

const adoptHelp = `Recovers a writer whose disk is gone, from what it shipped to the bucket: puts a fence at the end of its log, so that it can never ship more
under that id, and commits the samples before the fence as blocks.

A writer that turns out to be alive notices the fence, takes a new id, and writes again what lay behind it: nothing is lost or doubled. It is
safe to run this twice, or from two machines. ` + "`varve inspect roster`" + ` lists the ids.
`

func newAdopt(e *environment) *cobra.Command {
	l := &location{}
	var asJSON bool
	cmd := &cobra.Command{
		Use: "adopt WRITER", Short: "Recover a dead writer from what it shipped", Long: adoptHelp, Args: exactly("WRITER"),
		RunE: func(cmd *cobra.Command, args []string) error { return runAdopt(cmd.Context(), l, args[0], asJSON, e) },
	}
	l.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func runAdopt(ctx context.Context, l *location, writer string, asJSON bool, e *environment) (err error) {
	if err := tenant.Check(writer); err != nil {
		return usagef("writer: %w", err)
	}
	url, err := l.forReading()
	if err != nil {
		return err
	}
	b, err := blob.Open(ctx, url, openers(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	done := spin(e.err, "adopting "+writer)
	report, err := ingester.Adopt(ctx, writer, ingester.Components{Bucket: b, Catalog: catalog.New(b, nil, catalog.Components{})})
	done()
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(e.out).Encode(report)
	}
	return printAdoption(e.out, report)
}

func printAdoption(w io.Writer, r ingester.AdoptReport) error {
	if r.AlreadyAdopted {
		_, err := fmt.Fprintf(w, "writer %s was adopted before; nothing to do\n", r.Writer)
		return err
	}
	_, err := fmt.Fprintf(w, "writer %s is adopted: %d samples from %d segments are in %d new blocks, %d blocks were there already\n"+
		"the fence stands at generation %d, segment %d; what it logged from there on is only on its disk\n",
		r.Writer, r.Samples, r.Segments, r.Blocks, r.Present, r.FenceGeneration, r.FenceSeq)
	return err
}

// spin shows on a terminal that something is going on; the returned function ends that and waits for it.
func spin(w io.Writer, what string) (done func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(f),
		progressbar.OptionSpinnerType(14), progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish())
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = bar.Add(1) // a spinner that cannot be drawn is no trouble
			case <-stop:
				_ = bar.Finish()
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}
