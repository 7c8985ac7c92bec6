package varve_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/cluster/wire"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// traced is a series with a sample and an exemplar.
func traced(at time.Time, trace string) varve.Series {
	return varve.Series{
		Labels: labels.FromStrings("__name__", "m"), Samples: []model.Sample{{T: at.UnixMilli(), V: 1}},
		Exemplars: []model.Exemplar{{T: at.UnixMilli(), V: 1, Labels: labels.FromStrings("trace_id", trace)}},
	}
}

// traces are the exemplars of a day.
func traces(t *testing.T, q *query.Queryable, from time.Time) (out []string) {
	t.Helper()
	e, err := q.ExemplarQuerier(tenant.NewContext(t.Context(), "default"))
	require.NoError(t, err)
	found, err := e.Select(from.UnixMilli(), from.Add(24*time.Hour).UnixMilli()-1, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")})
	require.NoError(t, err)
	for _, r := range found {
		for _, x := range r.Exemplars {
			out = append(out, x.Labels.Get("trace_id"))
		}
	}
	return out
}

// Exemplars and metadata of another server, of logs that were shipped, and of a writer that is gone and was adopted.
func TestExemplarsOfOthers(t *testing.T) {
	midnight := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := blob.New(mem.New(), nil)
	var second *varve.DB
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { wire.NewHandler(second, nil).ServeHTTP(w, r) }))
	defer peer.Close()
	first := open(t, b, t.TempDir(), ingester.Config{})
	second = open(t, b, t.TempDir(), ingester.Config{Address: peer.Listener.Addr().String(), Mode: ingester.ModeObject})
	for i, db := range []*varve.DB{first, second} {
		_, err := db.AppendSeries(t.Context(), "default", traced(noon.Add(time.Duration(i)*time.Minute), []string{"one", "two"}[i]))
		require.NoError(t, err)
		_, err = db.AppendMetadata(t.Context(), "default", map[string]model.Metadata{"m": {Type: "counter", Help: []string{"one", "two"}[i]}})
		require.NoError(t, err)
	}
	require.Equal(t, []string{"one", "two"}, traces(t, first.Queryable(), midnight))
	now := time.Now()
	said, err := first.Queryable().Metadata(tenant.NewContext(t.Context(), "default"), "", now.Add(-time.Hour).UnixMilli(), now.Add(time.Hour).UnixMilli())
	require.NoError(t, err)
	require.Len(t, said["m"], 2)

	require.NoError(t, first.Close(t.Context()))
	r, err := varve.OpenReader(t.Context(), &varve.Options{OpenedBucket: b})
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two"}, traces(t, r.Queryable(), midnight), "a block, and a log that was shipped")

	_, err = ingester.Adopt(t.Context(), second.Writer(), ingester.Components{Bucket: b, Catalog: catalog.New(b, nil, catalog.Components{})})
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two"}, traces(t, r.Queryable(), midnight), "adopted")
	require.NoError(t, r.Close())
}

// Rollups have no exemplars and metadata, which go with the raw samples.
func TestRollupsWithoutExemplars(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := from.AddDate(0, 0, 2)
	clock := func() time.Time { return now }
	b := blob.New(mem.NewAt(clock), nil)
	db, err := varve.Open(t.Context(), &varve.Options{OpenedBucket: b, DataDir: t.TempDir(), Now: clock})
	require.NoError(t, err)
	_, err = db.AppendSeries(t.Context(), "default", traced(from.Add(time.Hour), "one"))
	require.NoError(t, err)
	require.NoError(t, db.Flush(t.Context()))
	c := catalog.New(b, nil, catalog.Components{Now: clock})
	_, err = c.UpdateRoot(t.Context(), "default", func(r *catalog.Root) error {
		return lifecycle.SetRetention(r, &lifecycle.Retention{Raw: "9d", Rollups: "365d"})
	})
	require.NoError(t, err)
	w, err := lifecycle.New(&lifecycle.Config{Compact: lifecycle.CompactSettings{Settle: -1, WaitForWriters: -1}}, lifecycle.Components{Bucket: b, Now: clock, Catalog: c})
	require.NoError(t, err)
	look := func() *catalog.Partition {
		for range 4 {
			r, err := w.Once(t.Context())
			require.NoError(t, err)
			require.Empty(t, r.Failures)
			now = now.Add(10 * time.Minute)
		}
		p, err := c.Partition(t.Context(), "default", model.DayOf(from.UnixMilli()), nil)
		require.NoError(t, err)
		return p
	}
	p := look()
	require.NotEmpty(t, p.Rollups)
	for _, e := range p.Rollups {
		sel, err := blocks.Select(t.Context(), blocks.Stored{Bucket: b}, e.Meta, &blocks.Query{Range: e.Day.Range(), Aggregate: model.Count})
		require.NoError(t, err)
		require.Len(t, sel.Series, 1)
		require.Equal(t, labels.FromStrings("__name__", "m"), sel.Series[0].Labels())
		sel.Close()
	}
	require.Equal(t, []string{"one"}, traces(t, db.Queryable(), from))
	now = now.AddDate(0, 0, 9)
	p = look()
	require.True(t, p.Thinned)
	require.NotEmpty(t, p.Rollups)
	require.Empty(t, traces(t, db.Queryable(), from))
	require.NoError(t, db.Close(t.Context()))
}
