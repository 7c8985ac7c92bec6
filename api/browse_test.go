package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	v1 "github.com/prometheus/prometheus/web/api/v1"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
)

// many is a storage of the series given, whatever is asked.
type many struct {
	fake
	hints  *storage.SelectHints
	series []labels.Labels
}

func (m *many) Querier(int64, int64) (storage.Querier, error) { return m, nil }

func (m *many) Select(_ context.Context, _ bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	m.hints = hints
	var list []storage.Series
	for _, ls := range m.series {
		ok := true
		for _, x := range ms {
			ok = ok && x.Matches(ls.Get(x.Name))
		}
		if ok {
			list = append(list, promql.NewStorageSeries(promql.Series{Metric: ls}))
		}
	}
	return &listed{list: list, at: -1}
}

type listed struct {
	oneSeries
	list []storage.Series
	at   int
}

func (l *listed) Next() bool         { l.at++; return l.at < len(l.list) }
func (l *listed) At() storage.Series { return l.list[l.at] }

func TestCardinality(t *testing.T) {
	m := &many{series: []labels.Labels{
		labels.FromStrings("__name__", "a", "k", "1"), labels.FromStrings("__name__", "a", "k", "2"), labels.FromStrings("__name__", "a", "k", "33"),
		labels.FromStrings("__name__", "b", "j", "x", "k", "1"), labels.FromStrings("j", "x"),
	}}
	h := newHandler(t, m)
	status, got := call(t, h, "GET", "/status/tsdb", "limit=2&start=10&end=20.5")
	require.Equal(t, 200, status, got.Error)
	var s v1.TSDBStatus
	require.NoError(t, json.Unmarshal(got.Data, &s))
	require.Equal(t, v1.TSDBStatus{
		HeadStats:                   v1.HeadStats{NumSeries: 5, NumLabelPairs: 6, MinTime: 10_000, MaxTime: 20_500},
		SeriesCountByMetricName:     []v1.TSDBStat{{Name: "a", Value: 3}, {Name: "", Value: 1}},
		LabelValueCountByLabelName:  []v1.TSDBStat{{Name: "k", Value: 3}, {Name: "__name__", Value: 2}},
		MemoryInBytesByLabelName:    []v1.TSDBStat{{Name: "k", Value: 4}, {Name: "__name__", Value: 2}},
		SeriesCountByLabelValuePair: []v1.TSDBStat{{Name: "__name__=a", Value: 3}, {Name: "j=x", Value: 2}},
	}, s)
	require.Equal(t, "series", m.hints.Func, "no samples are to be read")

	_, got = call(t, h, "GET", "/status/tsdb", "match[]=a%7Bk=%221%22%7D&match[]=b")
	require.NoError(t, json.Unmarshal(got.Data, &s))
	require.EqualValues(t, 2, s.HeadStats.NumSeries)
	require.Equal(t, time.Hour.Milliseconds(), s.HeadStats.MaxTime-s.HeadStats.MinTime)

	for _, bad := range []string{"limit=0", "limit=x", "limit=10001", "start=x", "end=1e99", "start=9&end=8", "match[]=%7B", "match[]=rate(a[1m])"} {
		status, got := call(t, h, "GET", "/status/tsdb", bad)
		require.Equal(t, 400, status, bad)
		require.Equal(t, "bad_data", got.ErrorType, bad)
	}
}

func TestCardinalityIsBounded(t *testing.T) {
	m := &many{}
	for i := range 3000 {
		m.series = append(m.series, labels.FromStrings("__name__", "a", "id", string(rune('a'+i%26))+time.Duration(i).String()))
	}
	p := query.NewParser()
	e := query.NewEngine(nil, p, nil, nil)
	defer func() { require.NoError(t, e.Close()) }()
	h, err := New(nil, Components{Engine: e, Queryable: m, Parser: p, Memory: query.NewGate(100<<10, nil)})
	require.NoError(t, err)
	status, got := call(t, h, "GET", "/status/tsdb", "")
	require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %s", got.ErrorType, got.Error)
}

// shelf is a catalog of two days.
type shelf struct{}

func (shelf) Root(context.Context, string, *catalog.Root) (*catalog.Root, error) {
	return &catalog.Root{Days: []model.Day{19_000, 20_000}}, nil
}

func (shelf) Partition(_ context.Context, tenant string, day model.Day, _ *catalog.Partition) (*catalog.Partition, error) {
	p := &catalog.Partition{Tenant: tenant, Day: day}
	if day != 20_000 {
		p.Missing = true
		return p, nil
	}
	meta := func(id string, f blocks.Format, n int64) catalog.Entry {
		return catalog.Entry{Order: 7, Meta: &blocks.Meta{ID: id, Tenant: tenant, Day: day, Format: f, Samples: n, Size: 2 * n, MinT: day.Range().MinMs, MaxT: day.Range().MinMs + 1}}
	}
	p.Blocks = []catalog.Entry{meta("hot", blocks.Native, 10), meta("open", blocks.Parquet, 100)}
	p.Rollups = []catalog.Entry{meta("small", blocks.Rollup1h, 5)}
	p.Tombstones = []catalog.Tombstone{{ID: "x", Order: 9, Range: day.Range(), Matchers: "{}"}}
	p.Quarantined = []catalog.Quarantined{{ID: "hot", Reason: "a bit flipped"}}
	return p, nil
}

func TestBrowsing(t *testing.T) {
	p := query.NewParser()
	e := query.NewEngine(nil, p, nil, nil)
	defer func() { require.NoError(t, e.Close()) }()
	h, err := New(nil, Components{Engine: e, Queryable: &fake{}, Parser: p, Catalog: shelf{}})
	require.NoError(t, err)
	status, got := call(t, h, "GET", "/status/catalog", "")
	require.Equal(t, 200, status, got.Error)
	var days struct {
		Tenant string
		Days   []browsed
		InAll  int `json:"days_in_all"`
	}
	require.NoError(t, json.Unmarshal(got.Data, &days))
	require.Equal(t, "acme", days.Tenant)
	require.Equal(t, 2, days.InAll)
	require.Equal(t, browsed{Day: "2024-10-04", Blocks: 2, Parquet: 1, Rollups: 1, Samples: 110, Bytes: 220, RollupBytes: 10, Tombstones: 1, Quarantined: 1}, days.Days[1])

	_, got = call(t, h, "GET", "/status/catalog", "day=2024-10-04")
	var day struct{ Blocks []browsedBlock }
	require.NoError(t, json.Unmarshal(got.Data, &day))
	require.Len(t, day.Blocks, 3)
	require.Equal(t, "a bit flipped", day.Blocks[0].Quarantined)
	require.True(t, day.Blocks[0].Masked)
	require.Equal(t, "d/tenant=acme/day=2024-10-04/open.parquet", day.Blocks[1].Key)
	require.Equal(t, "rollup 1h0m0s", day.Blocks[2].Format)

	_, got = call(t, h, "GET", "/status/catalog", "day=2024-10-05")
	require.NoError(t, json.Unmarshal(got.Data, &day))
	require.Empty(t, day.Blocks)
	status, got = call(t, h, "GET", "/status/catalog", "day=../../x")
	require.Equal(t, 400, status)
	require.Equal(t, "bad_data", got.ErrorType)
	status, _ = call(t, newHandler(t, &fake{}), "GET", "/status/catalog", "")
	require.Equal(t, 404, status, "without a catalog")
}
