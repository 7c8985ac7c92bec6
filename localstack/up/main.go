// Command up starts the emulated clouds on loopback, makes a bucket in each, and prints what a process needs to use
// them, until it is interrupted; on the bucket in S3 it runs varve-lambda, the real program in an emulated AWS Lambda. With the argument install it only gets the programs, and says by name which backend has to do without.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/varvedb/varve/localstack/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	work := up
	if len(os.Args) > 1 && os.Args[1] == "install" {
		work = install
	}
	if err := work(ctx, os.Stdout); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func install(ctx context.Context, out io.Writer) error {
	for _, k := range emulator.Kinds() {
		err := emulator.Install(ctx, k)
		switch {
		case errors.Is(err, emulator.ErrNoTool):
			fmt.Fprintf(out, "SKIPPED BACKEND %s: %v\n", k, err)
		case err != nil:
			return err
		}
	}
	return nil
}

func up(ctx context.Context, out io.Writer) (err error) {
	for _, k := range emulator.Kinds() {
		s, serr := emulator.Start(context.WithoutCancel(ctx), k)
		if errors.Is(serr, emulator.ErrNoTool) {
			fmt.Fprintf(out, "SKIPPED BACKEND %s: %v\n", k, serr)
			continue
		}
		if serr != nil {
			return serr
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		url, berr := s.Bucket(ctx, "varve")
		if berr != nil {
			return berr
		}
		fmt.Fprintf(out, "%s\n  VARVE_BUCKET='%s'\n", k, url)
		for _, kv := range s.Env {
			fmt.Fprintf(out, "  %s\n", kv)
		}
		if k != emulator.S3 {
			continue
		}
		l, lerr := startLambda(ctx, out, s, url)
		if lerr != nil {
			return lerr
		}
		defer func() { err = errors.Join(err, l.close()) }()
	}
	fmt.Fprintln(out, "ready; an interrupt (Ctrl-C) ends it all")
	<-ctx.Done()
	return nil
}
