package main

import (
	"math"
	"time"

	"github.com/spf13/pflag"

	"github.com/varvedb/varve/query"
)

// queryLimits are the flags for the budgets of one query.
type queryLimits struct {
	bytes             *byteSize
	requests, samples int64
	cost              float64
	time              *interval
}

func (l *queryLimits) register(f *pflag.FlagSet) {
	l.bytes = bytesFlag(f, "query-budget-bytes", 0, "bytes that one query may read from the bucket; 0 is no limit")
	f.Int64Var(&l.requests, "query-budget-requests", 0, "requests that one query may make to the bucket; 0 is no limit")
	f.Int64Var(&l.samples, "query-budget-samples", 0, "samples that one query may decode; 0 is no limit")
	f.Float64Var(&l.cost, "query-budget-cost", 0, "USD that the requests of one query may cost at the list price of S3; 0 is no limit")
	l.time = intervalFlag(f, "query-budget-time", 0, "how long one query may read, time in the queue apart; 0 is no limit")
}

func (l *queryLimits) check() error {
	if !(l.cost >= 0) || math.IsInf(l.cost, 1) { // nor is NaN a limit
		return usagef("--query-budget-cost is %g, want 0 or more USD", l.cost)
	}
	return checkNumbers(
		flagNumber{"query-budget-requests", l.requests, 0},
		flagNumber{"query-budget-samples", l.samples, 0},
	)
}

func (l *queryLimits) limits() query.Limits {
	return query.Limits{Bytes: int64(*l.bytes), Requests: l.requests, Samples: l.samples, Cost: l.cost, Time: time.Duration(*l.time)}
}
