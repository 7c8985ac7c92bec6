package prom

import (
	"context"
	"fmt"
	"testing"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// TestLogRows takes exemplars and metadata from the log.
func TestLogRows(t *testing.T) {
	dir := t.TempDir()
	opts := smallOptions()
	opts.RetentionDuration, opts.EnableExemplarStorage, opts.MaxExemplars = 0, true, 100
	db, err := tsdb.Open(dir, nil, nil, opts, nil)
	require.NoError(t, err)
	at := migratetest.FirstDay.Range().MinMs
	app := db.Appender(context.Background())
	for i, job := range []string{"a", "b"} {
		ls := labels.FromStrings("__name__", "req_count", "job", job)
		ref, err := app.Append(0, ls, at, 1)
		require.NoError(t, err)
		_, err = app.AppendExemplar(ref, ls, exemplar.Exemplar{Labels: labels.FromStrings("trace", job), Value: float64(i), Ts: at + 5, HasTs: true})
		require.NoError(t, err)
		_, err = app.UpdateMetadata(ref, ls, metadata.Metadata{Type: commonmodel.MetricTypeSummary, Unit: "s", Help: "Time."})
		require.NoError(t, err)
	}
	require.NoError(t, app.Commit())
	require.NoError(t, db.Close())

	w := newWorld(t)
	cfg := migratetest.Small()
	cfg.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "job", "b")}
	r, _ := w.tsdb(cfg, dir)
	require.Equal(t, []string{fmt.Sprintf(`{__name__="req_count", job="b"} %d 1 {trace="b"}`, at+5)}, w.Exemplars())
	require.Equal(t, map[string][]model.Metadata{"req": {{Type: commonmodel.MetricTypeSummary, Unit: "s", Help: "Time."}}}, w.Metadata())
	require.Equal(t, []int64{1, 1, 1, 1}, []int64{r.Series, r.Samples, r.Exemplars, r.Metadata})
}
