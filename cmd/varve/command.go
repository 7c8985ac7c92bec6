package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/spf13/cobra"

	"github.com/varvedb/varve/model"
)

// Exit codes, listed by every --help.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnavailable = 3
	exitInterrupted = 130
)

const exitCodes = `
Exit codes:
  0    it worked
  1    it failed
  2    wrong usage: a flag, a configuration key, a name, an expression
  3    something needed could not be reached; it may work later
  130  ended by a second signal
`

const rootHelp = `Varve keeps Prometheus metrics in an object store and answers PromQL.

  varve serve                        everything in one process, on a local directory
  varve query --bucket URL 'up'      PromQL straight from a bucket, no server needed

Every flag can be given in four ways; the first that is given wins:

  1. the flag:                 --query-timeout 1m
  2. an environment variable:  VARVE_QUERY_TIMEOUT=1m
  3. a file, --config FILE:    query-timeout: 1m       (YAML, keys are the names of flags)
  4. the default that --help shows

A key in the file that is no flag of any command is refused by name; one of another command is ignored. Lists are YAML lists, or separated by commas.

Buckets: s3://NAME  gs://NAME  azblob://CONTAINER  file:///DIRECTORY  mem://, each with ?prefix=a/b to share one; credentials
come from the provider's usual environment.
`

// environment is what a command sees of the process it runs in.
type environment struct {
	out, err io.Writer
	// env are variables as in os.Environ.
	env []string
}

// run runs one command line and returns the exit code.
func run(ctx context.Context, args []string, e *environment) int {
	root := newRoot(e)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(e.err, "varve: "+err.Error())
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var usage *usageError
	var parse parser.ParseErrors
	var incomplete *incompleteError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.As(err, &parse), errors.Is(err, model.ErrInvalid):
		return exitUsage
	case errors.As(err, &incomplete), errors.Is(err, model.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	}
	return exitFailed
}

// usageError is the caller's mistake.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() + " (try --help)" }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func newRoot(e *environment) *cobra.Command {
	root := &cobra.Command{
		Use: "varve", Short: "A time-series database in an object store", Long: rootHelp,
		SilenceErrors: true, SilenceUsage: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%q is no command", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(e.out)
	root.SetErr(e.err)
	root.SetUsageTemplate(strings.TrimRight(root.UsageTemplate(), "\n") + "\n" + exitCodes)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.PersistentFlags().String("config", "", "YAML file with values for flags")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return configure(cmd, e) }
	root.AddCommand(newServe(e), newQuery(e), newInspect(e), newLs(e), newAdopt(e), newLifecycle(e), newRetention(e), newDelete(e), newTenant(e), newSnapshot(e), newFsck(e), newQuarantine(e), newRebuild(e), newBackfill(e), newExport(e), newVersion(e))
	for _, c := range root.Commands() {
		c.Args = usageArgs(c.Args)
	}
	return root
}

// usageArgs makes the complaints of an argument check the caller's mistake.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}

// exactly demands one argument, which the command's usage calls by the name.
func exactly(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("want one argument, %s, got %d", name, len(args))
		}
		return nil
	}
}

func oneOf(flag, value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return usagef("--%s is %q, want %s", flag, value, strings.Join(allowed, " or "))
}
