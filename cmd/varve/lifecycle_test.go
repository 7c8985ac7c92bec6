package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// command runs a command line and returns its exit code and what it printed.
func command(t *testing.T, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(t.Context(), args, &environment{out: &o, err: &e})
	return code, o.String(), e.String()
}

// TestLifecycleCommand merges a day of small flushes, and puts a damaged block aside.
func TestLifecycleCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bucket")
	url := "file://" + filepath.ToSlash(dir)
	db := openDB(t, &varve.Options{Bucket: url + "?create=true"})
	const flushes = 60
	at := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	for n := range flushes {
		_, err := db.AppendSeries(t.Context(), "default", varve.Series{
			Labels: labels.FromStrings("__name__", "ticks"), Samples: []model.Sample{{T: at.UnixMilli() + int64(n)*1000, V: float64(n)}},
		})
		require.NoError(t, err)
		require.NoError(t, db.Flush(t.Context()))
	}
	require.NoError(t, db.Close(t.Context()))
	damage(t, url)

	query := []string{"query", "--bucket", url, "--time", at.Add(time.Minute).Format(time.RFC3339), "count_over_time(ticks[2m])"}
	code, out, errs := command(t, "lifecycle", "--bucket", url, "--once", "--json")
	require.Equal(t, exitOK, code, errs)
	var r lifecycle.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Len(t, r.Quarantined, 1)

	require.Contains(t, out, `"failures": []`)
	code, out, errs = command(t, "lifecycle", "--bucket", url, "--once")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "1 partitions, 1 catalogs read; ")
	code, out, _ = command(t, "inspect", "blocks", "--bucket", url)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "(merge of 32)")
	inspectSnapshot(t, url)
	require.Contains(t, out, "Quarantined blocks, which merges leave alone: 1")
	code, out, _ = command(t, "inspect", "catalog", "--bucket", url, "--json")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, `"reason": "block d/tenant=default/`)
	code, _, errs = command(t, query...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "corrupt", "a query names the damaged block")
	explain := slices.Insert(slices.Clone(query), 1, "--explain")
	code, out, errs = command(t, explain...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "corrupt")
	require.Contains(t, out, "gets", "what a query took that failed")
	code, out, _ = command(t, slices.Insert(explain, 1, "--json")...)
	require.Equal(t, exitFailed, code)
	var took struct {
		Gets  int    `json:"gets"`
		Error string `json:"error"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &took))
	require.Positive(t, took.Gets)
	require.Contains(t, took.Error, "corrupt")

	code, _, errs = command(t, "lifecycle", "--bucket", url, "--json")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--once")
}

// damage flips a byte in the third block of the only day.
func damage(t *testing.T, url string) {
	b, err := blob.Open(t.Context(), url, openers(), nil)
	require.NoError(t, err)
	defer b.Close()
	c := catalog.New(b, nil, catalog.Components{})
	root, err := c.Root(t.Context(), "default", nil)
	require.NoError(t, err)
	p, err := c.Partition(t.Context(), "default", root.Days[0], nil)
	require.NoError(t, err)
	require.Greater(t, len(p.Blocks), 50)
	key := blocks.Key(p.Blocks[2].Meta)
	require.True(t, strings.HasPrefix(key, "d/tenant=default/"))
	data, _, err := b.Get(t.Context(), key)
	require.NoError(t, err)
	data[p.Blocks[2].Chunks.Offset+15] ^= 1
	_, err = b.Put(t.Context(), key, data)
	require.NoError(t, err)
}

// inspectSnapshot: inspect shows what keeps blocks.
func inspectSnapshot(t *testing.T, url string) {
	code, _, errs := command(t, "snapshot", "create", "friday", "--bucket", url)
	require.Equal(t, exitOK, code, errs)
	code, out, _ := command(t, "inspect", "catalog", "--bucket", url)
	require.Equal(t, exitOK, code)
	require.Regexp(t, `Snapshot friday of tenant default, of .*, keeps the blocks`, out)
	code, out, _ = command(t, "inspect", "--bucket", url, "--json")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, `"name": "friday"`)
	code, _, errs = command(t, "snapshot", "delete", "friday", "--bucket", url)
	require.Equal(t, exitOK, code, errs)
}
