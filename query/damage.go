package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varvedb/varve/model"
)

// A block that is damaged, of an unknown version, or missing fails the query that needs it, and is named. A query of WithPartialResponse
// leaves it out instead, with a warning that names it: the whole block if its index cannot be read, else what of it cannot be decoded. That shows
// only while the answer is computed, when whoever reads series has taken the warnings already; so those go to the query's notes, of which the
// engine makes warnings. Without notes a series that cannot be decoded is an error, whatever was asked for: nothing goes missing in silence.

// isDamage reports whether err says that an object is not what it was, rather than that it could not be reached.
func isDamage(err error) bool {
	return errors.Is(err, model.ErrCorrupt) || errors.Is(err, model.ErrVersion)
}

// leftOut is the warning about a block, or a part of it, that is not in the answer. The error names the object.
func leftOut(err error) string {
	return "left out, so the answer may lack samples: " + oneLine(err)
}

// notes are warnings that come up while series are decoded. Safe for concurrent use; nil takes none.
type notes struct {
	mu   sync.Mutex // guards what follows
	all  []string
	more int
}

// maxNotes bounds the notes of one query: a damaged page may hold thousands of series.
const maxNotes = 100

type notesKey struct{}

func withNotes(ctx context.Context) (context.Context, *notes) {
	n := &notes{}
	return context.WithValue(ctx, notesKey{}, n), n
}

func notesOf(ctx context.Context) *notes {
	n, _ := ctx.Value(notesKey{}).(*notes)
	return n
}

func (n *notes) add(warning string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case slices.Contains(n.all, warning):
	case len(n.all) >= maxNotes:
		n.more++
	default:
		n.all = append(n.all, warning)
	}
}

// warnings are the notes, sorted, since they come up in any order.
func (n *notes) warnings() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := slices.Sorted(slices.Values(n.all))
	if n.more > 0 {
		out = append(out, fmt.Sprintf("%d more parts of blocks were left out", n.more))
	}
	return out
}

// excuse takes note of a part of a series that cannot be decoded, if the query puts up with that; else it returns the error.
func (q *querier) excuse(err error) error {
	if q == nil || q.notes == nil || !isDamage(err) {
		return err
	}
	q.q.metrics.damaged.Inc()
	q.notes.add(leftOut(err))
	return nil
}

// notedQuery is a query whose notes become warnings of its result, and whose selections know how far it looks back.
type notedQuery struct {
	promql.Query
	lookback time.Duration
}

func noted(q promql.Query) promql.Query {
	n := notedQuery{Query: q}
	if s, ok := q.Statement().(*parser.EvalStmt); ok {
		n.lookback = s.LookbackDelta
	}
	return n
}

// Exec implements promql.Query.
func (q notedQuery) Exec(ctx context.Context) *promql.Result {
	ctx = withLookback(ctx, q.lookback)
	if !PartialResponse(ctx) {
		return q.Query.Exec(ctx)
	}
	ctx, n := withNotes(ctx)
	r := q.Query.Exec(ctx)
	r.Warnings.Merge(annotate(n.warnings()))
	return r
}
