package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/model"
)

// TestCompactAndList makes parquet of a day that is over, and lists it for SQL.
func TestCompactAndList(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's a bucket")
	url := "file://" + filepath.ToSlash(strings.ReplaceAll(dir, " ", "%20")) + "?prefix=team/a"
	db := openDB(t, &varve.Options{Bucket: url + "&create=true"})
	at := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	for n := range 3 {
		_, err := db.AppendSeries(t.Context(), "default", varve.Series{
			Labels:  labels.FromStrings("__name__", "ticks"),
			Samples: []model.Sample{{T: at.UnixMilli() + int64(n)*1000, V: float64(n)}, {T: at.AddDate(0, 0, 1).UnixMilli() + int64(n), V: 0.1}},
		})
		require.NoError(t, err)
		require.NoError(t, db.Flush(t.Context()))
	}
	require.NoError(t, db.Close(t.Context()))

	works := func(args ...string) (out, errs string) {
		code, out, errs := command(t, args...)
		require.Equal(t, exitOK, code, errs)
		return out, errs
	}
	query := []string{"query", "--bucket", url, "--time", at.Add(time.Minute).Format(time.RFC3339), "ticks[2m]"}
	want, _ := works(query...)
	code, _, errs := command(t, "ls", "--sql", "--bucket", url)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "there is no parquet block")
	require.Contains(t, errs, "6 samples in 6 hot blocks")

	for _, flags := range [][]string{nil, {"--compact=false", "--compact-settle", "0s"}} {
		out, _ := works(append([]string{"lifecycle", "--bucket", url, "--once"}, flags...)...)
		require.Contains(t, out, "0 merges, 0 compactions and 0 roll-ups", "%v", flags)
	}
	out, _ := works("lifecycle", "--bucket", url, "--once", "--compact-settle", "0s")
	require.Contains(t, out, "0 merges, 2 compactions and 0 roll-ups: 6 blocks")
	got, _ := works(query...)
	require.Equal(t, want, got)

	out, errs = works("ls", "--live", "--sql", "--bucket", url)
	require.Empty(t, errs)
	files := regexp.MustCompile(`^read_parquet\(\['(.*)', '(.*)'\]\)\n$`).FindStringSubmatch(out)
	require.Len(t, files, 3, out)
	for i, f := range files[1:] {
		f = strings.ReplaceAll(f, "''", "'")
		require.True(t, strings.HasPrefix(f, dir+"/team/a/d/tenant=default/day=2026-05-0"+string(rune('5'+i))), f)
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		require.Equal(t, "PAR1", string(data[:4]))
	}
	out, _ = works("ls", "--sql", "--bucket", url, "--start", "2026-05-06T12:00:00Z")
	require.NotContains(t, out, "day=2026-05-05")
	require.Contains(t, out, "day=2026-05-06")

	var rows []lsRow
	out, _ = works("ls", "--json", "--bucket", url, "--end", "2026-05-05T00:00:00Z")
	require.NoError(t, json.Unmarshal([]byte(out), &rows))
	require.Len(t, rows, 4, "three were replaced by one")
	require.Equal(t, []any{"live", "parquet", int64(3)}, []any{rows[0].State, rows[0].Format, rows[0].Samples})
	out, _ = works("ls", "--live", "--bucket", url)
	require.Equal(t, 3, strings.Count(out, "\n"))
	code, _, _ = command(t, "ls", "--sql", "--json", "--bucket", url)
	require.Equal(t, exitUsage, code)
}

// TestRollUpAndList rolls the days up, lets their samples expire, and shows what there is.
func TestRollUpAndList(t *testing.T) {
	url := "file://" + filepath.ToSlash(t.TempDir()) + "?create=true"
	db := openDB(t, &varve.Options{Bucket: url})
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -5)
	_, err := db.AppendSeries(t.Context(), "default", varve.Series{
		Labels: labels.FromStrings("__name__", "ticks"), Samples: []model.Sample{{T: day.UnixMilli(), V: 1}, {T: day.UnixMilli() + 1, V: 2}},
	})
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
	works := func(args ...string) string {
		code, out, errs := command(t, append(args, "--bucket", url)...)
		require.Equal(t, exitOK, code, errs)
		return out
	}
	once := []string{"lifecycle", "--once", "--compact-settle", "0s"}
	require.Contains(t, works(once...), "1 compactions and 0 roll-ups")
	require.Contains(t, works(append(once, "--rollups", "1y")...), "0 compactions and 1 roll-ups")
	require.Regexp(t, `1 +2 +[0-9.]+ KiB +[0-9.]+ +[0-9.]+ KiB `, works("inspect", "catalog"))
	require.Equal(t, 4, strings.Count(works("ls", "--live"), "\n"))
	out := works("ls", "--sql", "--resolution", "1h")
	require.Contains(t, out, "/r/tenant=default/day="+day.Format(time.DateOnly))
	require.Equal(t, 1, strings.Count(out, ".parquet"))
	require.Equal(t, 1, strings.Count(works("ls", "--sql"), ".parquet"))

	out = works(append(once, "--rollups", "1y", "--retention", "2d")...)
	require.Contains(t, out, "1 blocks of")
	require.Contains(t, works("inspect", "catalog"), "samples have expired")
	var r report
	require.NoError(t, json.Unmarshal([]byte(works("inspect", "all", "--json")), &r))
	require.Len(t, r.Blocks, 2)
	require.Equal(t, []any{2, 0, true}, []any{r.Catalog.Days[0].Rollups, r.Catalog.Days[0].Blocks, r.Catalog.Days[0].Thinned})
	require.Contains(t, works("fsck"), "0 findings")

	for _, bad := range [][]string{{"ls", "--resolution", "1h"}, {"ls", "--sql", "--resolution", "2h"}, {"lifecycle", "--rollups", "1h"}, {"serve", "--rollups", "x"}} {
		code, _, _ := command(t, append(bad, "--bucket", url)...)
		require.Equal(t, exitUsage, code, "%v", bad)
	}
}

func TestObjectURL(t *testing.T) {
	for _, c := range []struct {
		bucket string
		sql    bool
		want   string
	}{
		{"s3://b?region=x", true, "s3://b/k"},
		{"gs://b?prefix=a/b/", true, "gs://b/a/b/k"},
		{"azblob://c", true, "az://c/k"},
		{"azblob://c", false, "azblob://c/k"},
		{"file:///x/y?create=true", true, "/x/y/k"},
		{"file:///x/y", false, "file:///x/y/k"},
	} {
		url, err := objectURL(c.bucket, c.sql)
		require.NoError(t, err)
		require.Equal(t, c.want, url("k"))
	}
}
