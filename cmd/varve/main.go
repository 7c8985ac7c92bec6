// Command varve is the server and the tool box of Varve, a time-series database that keeps its
// data in an object store: run `varve --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(withSignals(func(ctx context.Context) int {
		return run(ctx, os.Args[1:], &environment{out: os.Stdout, err: os.Stderr, env: os.Environ()})
	}))
}

// withSignals ends the context of fn at the first SIGINT or SIGTERM, and the process at the second.
func withSignals(fn func(ctx context.Context) int) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitInterrupted)
	}()
	return fn(ctx)
}
