package migratetest

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// Exemplars are those of all series, as a query finds them.
func (w *World) Exemplars() (out []string) {
	q, ctx := w.queryable()
	e, err := q.ExemplarQuerier(ctx)
	require.NoError(w.T, err)
	found, err := e.Select(model.MinTimeMs, model.MaxTimeMs, []*labels.Matcher{labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "")})
	require.NoError(w.T, err)
	for _, r := range found {
		for _, x := range r.Exemplars {
			out = append(out, fmt.Sprintf("%s %d %v %s", r.SeriesLabels, x.Ts, x.Value, x.Labels))
		}
	}
	return out
}

// Metadata is what is said of all metrics, as a query finds it.
func (w *World) Metadata() map[string][]model.Metadata {
	q, ctx := w.queryable()
	found, err := q.Metadata(ctx, "", model.MinTimeMs, model.MaxTimeMs)
	require.NoError(w.T, err)
	return found
}

func (w *World) queryable() (*query.Queryable, context.Context) {
	q, err := query.New(nil, query.Components{Catalog: w.Catalog, Blocks: blocks.Stored{Bucket: w.Own}})
	require.NoError(w.T, err)
	return q, tenant.NewContext(w.T.Context(), "t")
}
