package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varvedb/varve/localstack/reader"
	varvequery "github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// coldReport is what the first query of a fresh reader asked of the bucket: one metric, all of its time.
type coldReport struct {
	Metric string `json:"metric"`
	// Stages are those of the query's own account: what depends on what, not what a busy machine makes of it.
	Stages   int   `json:"stages"`
	Requests int   `json:"requests"`
	Lists    int   `json:"lists"`
	Bytes    int64 `json:"bytes"`
	// Needed of Bytes, which include catalogs.
	Needed  int64   `json:"bytes_needed"`
	CostUSD float64 `json:"cost_usd"`
	Series  int     `json:"series"`
	Samples int     `json:"samples"`
}

// coldQuery selects all samples of a metric through a reader that has seen nothing yet.
func (r *report) coldQuery(ctx context.Context, bucket, metric string, fromMs, toMs int64) (err error) {
	rd, err := reader.Open(ctx, bucket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rd.Close()) }()
	querier, err := rd.Queryable.Querier(fromMs, toMs)
	if err != nil {
		return fmt.Errorf("cold query: %w", err)
	}
	defer func() { err = errors.Join(err, querier.Close()) }()
	m, err := labels.NewMatcher(labels.MatchEqual, "__name__", metric)
	if err != nil {
		return fmt.Errorf("cold query: %w", err)
	}
	cold := &coldReport{Metric: metric}
	ctx, account := varvequery.WithAccount(tenant.NewContext(ctx, tenant.Default))
	set := querier.Select(ctx, true, nil, m)
	var it chunkenc.Iterator
	for set.Next() {
		cold.Series++
		it = set.At().Iterator(it)
		for it.Next() != chunkenc.ValNone {
			cold.Samples++
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("cold query: %w", err)
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("cold query: %w", err)
	}
	counts, e := rd.Counts(), account.Explain()
	cold.Stages, cold.Needed, cold.CostUSD = e.Stages, e.BytesNeeded, e.CostUSD
	cold.Bytes, cold.Lists = counts.Bytes, counts.Requests["list"]
	for _, n := range counts.Requests {
		cold.Requests += n
	}
	if cold.Requests != e.Gets+e.Lists || cold.Bytes != e.BytesFetched+e.CatalogBytes {
		return fmt.Errorf("cold query: its own account (%+v) differs from what the bucket saw (%d requests, %d bytes)", e, cold.Requests, cold.Bytes)
	}
	r.Cold = cold
	return nil
}
