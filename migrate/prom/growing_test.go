package prom

import (
	"testing"

	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// TestGrowingLog takes over a log that grows: only the days to which something came are done again.
func TestGrowingLog(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	db, err := tsdb.Open(dir, nil, nil, opts, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	db.DisableCompactions()
	from := migratetest.FirstDay.Range().MinMs
	for n := range int64(3) {
		w.scrape(db, from+n*model.MsPerDay+1800_000*5/2)
	}
	r, _ := w.tsdb(migratetest.Small(), dir)
	require.Equal(t, 3, r.Days)
	w.scrape(db, from+2*model.MsPerDay+1800_000*7/2)
	r, _ = w.tsdb(migratetest.Small(), dir)
	require.Equal(t, 3, r.Days)
	require.Equal(t, 2, r.Already)
	got, _, _ := w.Read()
	migratetest.Same(t, migratetest.Contents(t, db), got)
}
