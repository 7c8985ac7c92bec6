package varve_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/cluster/wire"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/model"
)

// TestDeleteWithUnreachedServer: a delete names the server that it cannot reach; the same delete, when it can be reached, deletes what that server held, and
// nothing that has been written at the other one since. The report says what is left.
func TestDeleteWithUnreachedServer(t *testing.T) {
	b := blob.New(mem.New(), nil)
	var second *varve.DB
	var down atomic.Bool
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down.Load() && r.URL.Path == wire.FlushPath:
			http.Error(w, "going through a bad time", http.StatusServiceUnavailable)
		case r.URL.Path == wire.FlushPath:
			if err := second.Flush(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			w.Header().Set(wire.WriterHeader, second.Writer())
			w.WriteHeader(http.StatusNoContent)
		default:
			wire.NewHandler(second, nil).ServeHTTP(w, r)
		}
	}))
	defer peer.Close()
	first := open(t, b, t.TempDir(), ingester.Config{})
	second = open(t, b, t.TempDir(), ingester.Config{Address: peer.Listener.Addr().String()})
	write := func(db *varve.DB, host string, at time.Time) {
		_, err := db.AppendSeries(t.Context(), "default", varve.Series{
			Labels: labels.FromStrings("__name__", "m", "host", host), Samples: []model.Sample{{T: at.UnixMilli(), V: 1}},
		})
		require.NoError(t, err)
	}
	ask := func() map[string]float64 {
		r, err := first.Query(t.Context(), "default", `count_over_time(m[10m])`, noon.Add(5*time.Minute))
		require.NoError(t, err)
		require.NoError(t, r.Err)
		v, err := r.Vector()
		require.NoError(t, err)
		out := map[string]float64{}
		for _, s := range v {
			out[s.Metric.Get("host")] = s.F
		}
		return out
	}
	write(first, "first", noon)
	write(second, "second", noon)
	require.Equal(t, map[string]float64{"first": 1, "second": 1}, ask())

	down.Store(true)
	all := model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}
	done, err := first.DeleteSeries(t.Context(), "default", []string{"m"}, all, "")
	require.NoError(t, err)
	require.Equal(t, []string{second.Writer()}, done.Unreached)
	require.Equal(t, map[string]float64{"second": 1}, ask(), "what it holds is seen")
	write(first, "first", noon.Add(time.Minute))
	again, err := first.DeleteSeries(t.Context(), "default", []string{"m"}, all, done.ID)
	require.NoError(t, err)
	require.Equal(t, done.Unreached, again.Unreached)
	report, err := first.EraseReport(t.Context(), "default", done.ID)
	require.NoError(t, err)
	require.False(t, report.Erased)
	require.Equal(t, done.Unreached, report.Unreached)

	down.Store(false)
	again, err = first.DeleteSeries(t.Context(), "default", []string{"m"}, all, done.ID)
	require.NoError(t, err)
	require.Empty(t, again.Unreached)
	require.Equal(t, map[string]float64{"first": 1}, ask(), "written since")
	write(second, "second", noon.Add(2*time.Minute))
	_, err = first.DeleteSeries(t.Context(), "default", []string{"m"}, all, done.ID)
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"first": 1, "second": 1}, ask(), "once is enough")
	_, err = first.DeleteSeries(t.Context(), "default", []string{"other"}, all, done.ID)
	require.ErrorIs(t, err, model.ErrConflict)
	require.NoError(t, second.Close(t.Context()))
	require.NoError(t, first.Close(t.Context()))
}
