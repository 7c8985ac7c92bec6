package duckdb

import (
	"bytes"
	"database/sql"
	"math"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/dir"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
)

// exported builds varve, gives a bucket the series of a day, and has them written as Parquet: to the pattern of files returned.
func exported(t *testing.T, in []blocks.BuildSeries) (files string) {
	t.Helper()
	root := t.TempDir()
	program, bucket, out := filepath.Join(root, "varve"), "file://"+filepath.Join(root, "bucket"), filepath.Join(root, "out")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", ".."), "-o", program, "./cmd/varve").CombinedOutput()
	require.NoError(t, err, string(built))

	b, err := blob.Open(t.Context(), bucket+"?create=true", map[string]blob.Opener{"file": dir.Open}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	var data bytes.Buffer
	m, err := blocks.Build(t.Context(), &blocks.Params{Tenant: "default", Day: day, Writer: "w", Generation: 1}, each(in), &data)
	require.NoError(t, err)
	_, err = b.PutIfAbsent(t.Context(), blocks.Key(m), data.Bytes())
	require.NoError(t, err)
	_, err = catalog.New(b, nil, catalog.Components{}).Commit(t.Context(), "default", day, catalog.Add{Writer: "w", Generation: 1, Meta: m})
	require.NoError(t, err)

	said, err := exec.CommandContext(t.Context(), program, "export", "--bucket", bucket, "--to", "parquet", "--out", out, "--strict").CombinedOutput()
	require.NoError(t, err, string(said))
	return filepath.Join(out, "*.parquet")
}

// TestExport: what `varve export --to parquet` writes needs no view.
func TestExport(t *testing.T) {
	in := series(7, 12, 5, 3000)
	from := "read_parquet('" + exported(t, in) + "')"
	db, err := sql.Open("duckdb", "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	wanted, n := want(in)
	rows, err := db.QueryContext(t.Context(), "SELECT metric, labels->>'host', labels->>'quote', labels->>'ü', epoch_ms(ts), value FROM "+from+" WHERE value IS NOT NULL")
	require.NoError(t, err)
	defer rows.Close()
	got := 0
	for rows.Next() {
		var metric, host, quote, o string
		var at int64
		var v float64
		require.NoError(t, rows.Scan(&metric, &host, &quote, &o, &at, &v))
		ls := labels.FromStrings("__name__", metric, "host", host, "quote", quote, "ü", o)
		w, ok := wanted[ls.String()][at]
		require.True(t, ok, "%s at %d", ls, at)
		require.Equal(t, math.Float64bits(w), math.Float64bits(v), "%s at %d", ls, at)
		got++
	}
	require.NoError(t, rows.Err())
	require.Equal(t, n, got)
	var all, histograms, starts int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*), count(histogram), count(start) FROM "+from).Scan(&all, &histograms, &starts))
	require.Equal(t, all, n+histograms)
	require.Positive(t, histograms)
	require.Positive(t, starts)
}
