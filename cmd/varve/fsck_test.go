package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/repair"
)

// TestFsckAndRebuild: a directory loses its catalogs, fsck says so, rebuild makes them anew, and a query answers as before.
func TestFsckAndRebuild(t *testing.T) {
	url := "file://" + filepath.ToSlash(filepath.Join(t.TempDir(), "bucket"))
	db := openDB(t, &varve.Options{Bucket: url + "?create=true"})
	at := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	for n := range 60 {
		_, err := db.AppendSeries(t.Context(), "default", varve.Series{
			Labels: labels.FromStrings("__name__", "ticks"), Samples: []model.Sample{{T: at.UnixMilli() + int64(n)*1000, V: float64(n)}},
		})
		require.NoError(t, err)
		require.NoError(t, db.Flush(t.Context()))
	}
	require.NoError(t, db.Close(t.Context()))
	query := []string{"query", "--bucket", url, "--time", at.Add(time.Minute).Format(time.RFC3339), "sum_over_time(ticks[2m])"}
	code, want, errs := command(t, query...)
	require.Equal(t, exitOK, code, errs)
	for _, depth := range []string{"--quick", "--tenant=default", "--deep"} {
		code, out, errs := command(t, "fsck", "--bucket", url, depth)
		require.Equal(t, exitOK, code, out+errs)
		require.Contains(t, out, "0 of them more than notes")
	}

	b, err := blob.Open(t.Context(), url, openers(), nil)
	require.NoError(t, err)
	defer b.Close()
	require.NoError(t, b.Delete(t.Context(), "t/default/c/20260505"))
	code, out, _ := command(t, "fsck", "--bucket", url, "--json")
	require.Equal(t, exitFailed, code)
	var r repair.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, "t/default/c/20260505", r.Findings[0].Object)
	code, _, _ = command(t, query...)
	require.NotEqual(t, exitOK, code)

	code, out, errs = command(t, "rebuild", "--bucket", url, "--dry-run")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "would be made anew")
	code, out, errs = command(t, "rebuild", "--bucket", url)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "catalog of default/2026-05-05 made anew: it is missing\n      60 blocks")
	code, out, errs = command(t, query...)
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, want, out)
	code, out, errs = command(t, "fsck", "--bucket", url, "--deep")
	require.Equal(t, exitOK, code, out+errs)

	for _, usage := range [][]string{{"fsck", "--quick", "--deep"}, {"fsck", "--day", "today"}, {"fsck", "--tenant", "a/b"}, {"rebuild", "--force"}} {
		code, _, _ := command(t, append(usage, "--bucket", url)...)
		require.Equal(t, exitUsage, code)
	}
}
