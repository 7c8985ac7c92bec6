package query

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/varvedb/varve/model"
)

// Limits are the budgets of one query. 0 is no limit. A query that would exceed one fails with a *BudgetError,
// before it makes the request that would.
type Limits struct {
	// Bytes are read from the bucket, catalogs and speculation included.
	Bytes int64
	// Requests are made to the bucket, retries and hedges included.
	Requests int64
	// Samples are decoded. (EngineOptions.MaxSamples is how many of them are in memory at a time.)
	Samples int64
	// Cost in USD, of requests at PriceGet and PriceList.
	Cost float64
	// Time is how long a query may read, from its first read on. Unlike the timeout of the engine, time in the queue does not count, and to
	// ask again is not expected to help.
	Time time.Duration
}

// BudgetError says which budget of a query was too small. It wraps model.ErrLimit.
type BudgetError struct {
	// Budget is "bytes", "requests", "samples", "cost" or "time", Limit its value as a person reads it.
	Budget, Limit string
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("query exceeds its %s budget of %s: %s", e.Budget, e.Limit, model.ErrLimit)
}

func (e *BudgetError) Unwrap() error { return model.ErrLimit }

// isBudget reports that it is the query that wants too much, whomever it asked.
func isBudget(err error) bool {
	_, ok := errors.AsType[*BudgetError](err)
	return ok || isMemory(err)
}

// check is for the counts that a request would lead to; asked are bytes of requests that have not ended, its own included.
func (l *Limits) check(e *Explain, asked int64) error {
	switch {
	case l.Requests > 0 && int64(e.Gets+e.Lists) > l.Requests:
		return &BudgetError{"requests", strconv.FormatInt(l.Requests, 10)}
	case l.Bytes > 0 && e.BytesFetched+e.CatalogBytes+asked > l.Bytes:
		return &BudgetError{"bytes", strconv.FormatInt(l.Bytes, 10)}
	case l.Cost > 0 && e.cost() > l.Cost:
		return &BudgetError{"cost", strconv.FormatFloat(l.Cost, 'f', -1, 64) + " USD"}
	}
	return nil
}

func (l *Limits) checkSamples(n int64) error {
	if l.Samples > 0 && n > l.Samples {
		return &BudgetError{"samples", strconv.FormatInt(l.Samples, 10)}
	}
	return nil
}

func (l *Limits) timeError() error { return &BudgetError{"time", l.Time.String()} }
