package api

import (
	"context"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// exemplarsOf returns what has the exemplars of the storage, their errors in the coat: nothing, if the storage has none.
func exemplarsOf(q storage.Queryable) storage.ExemplarQueryable {
	if from, ok := q.(storage.ExemplarQueryable); ok {
		return exemplars{from}
	}
	return nothing{}
}

type exemplars struct{ from storage.ExemplarQueryable }

func (e exemplars) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	q, err := e.from.ExemplarQuerier(ctx)
	if err != nil {
		return nil, coat(err)
	}
	return exemplarQuerier{q}, nil
}

type exemplarQuerier struct{ storage.ExemplarQuerier }

func (q exemplarQuerier) Select(start, end int64, selectors ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	found, err := q.ExemplarQuerier.Select(start, end, selectors...)
	if found == nil {
		found = []exemplar.QueryResult{} // null in JSON is not for clients
	}
	return found, coat(err)
}
