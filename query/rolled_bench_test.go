package query

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// benchmarkStorage has a day of a hundred counters, a sample every 15 s.
func benchmarkStorage(b *testing.B) *rolledStorage {
	s := &rolledStorage{t: b, series: map[string]*model.Columns{}}
	for i := range 100 {
		name, c := fmt.Sprintf("m_%03d", i), &model.Columns{}
		v := 0.0
		for at := t0 + int64(i)*97; at < t0+model.MsPerDay; at += 15_000 {
			v += float64((at / 7919) % 50)
			c.Append(at, v)
		}
		s.names, s.series[name] = append(s.names, name), c
	}
	return s
}

// BenchmarkRolled asks for 24 steps of a day that is there as raw samples and as rollups, nothing cached, and reports what is fetched.
func BenchmarkRolled(b *testing.B) {
	w := newRolledWorld(b, benchmarkStorage(b))
	w.keep(day0, blocks.Parquet)
	w.roll(day0)
	for _, f := range []string{"max_over_time", "rate", "avg_over_time"} {
		for _, r := range []Resolution{ResolutionRaw, Resolution5m, Resolution1h} {
			b.Run(f+"/"+r.String(), func(b *testing.B) {
				var e Explain
				for range b.N {
					ctx, a := WithAccount(WithResolution(w.ctx(), r))
					pq, err := w.engines[0].NewRangeQuery(ctx, w.queryable(), nil, fmt.Sprintf(`sum(%s({__name__=~"m_.*"}[1h]))`, f), time.UnixMilli(t0+hourMs), time.UnixMilli(t0+24*hourMs), time.Hour)
					require.NoError(b, err)
					require.NoError(b, pq.Exec(ctx).Err)
					pq.Close()
					e = a.Explain()
				}
				b.ReportMetric(float64(e.BytesFetched), "B-fetched/op")
				b.ReportMetric(float64(e.GetsByKind.Block), "gets/op")
				b.ReportMetric(float64(e.Stages), "stages")
			})
		}
	}
}
