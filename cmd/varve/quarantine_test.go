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
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/repair"
)

// TestQuarantineCommand: a block is damaged and put aside, is left where it is, comes back when it was restored, and is given up when it is gone.
func TestQuarantineCommand(t *testing.T) {
	url := "file://" + filepath.ToSlash(filepath.Join(t.TempDir(), "bucket"))
	db := openDB(t, &varve.Options{Bucket: url + "?create=true"})
	at := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	for n := range 2 {
		_, err := db.AppendSeries(t.Context(), "default", varve.Series{
			Labels: labels.FromStrings("__name__", "ticks"), Samples: []model.Sample{{T: at.UnixMilli() + int64(n)*1000, V: float64(n)}},
		})
		require.NoError(t, err)
		require.NoError(t, db.Flush(t.Context()))
	}
	require.NoError(t, db.Close(t.Context()))
	b, err := blob.Open(t.Context(), url, openers(), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	do := func(code int, args ...string) string {
		got, out, errs := command(t, append([]string{"quarantine", args[0], "--bucket", url}, args[1:]...)...)
		require.Equal(t, code, got, "%v: %s%s", args, out, errs)
		return out + errs
	}
	require.Equal(t, "no block is in quarantine\n", do(exitOK, "list"))

	c := catalog.New(b, nil, catalog.Components{})
	p, err := c.Partition(t.Context(), "default", model.DayOf(at.UnixMilli()), nil)
	require.NoError(t, err)
	id := p.Blocks[0].ID
	_, err = c.Commit(t.Context(), "default", p.Day, catalog.Quarantine{IDs: []string{id}, Reason: "it is gone"})
	require.NoError(t, err)
	require.Contains(t, do(exitOK, "list", "--day", "2026-05-05"), "it is gone")
	var list []repair.Quarantined
	require.NoError(t, json.Unmarshal([]byte(do(exitOK, "list", "--json")), &list))
	require.Equal(t, id, list[0].ID)
	require.Equal(t, int64(1), list[0].Samples)
	key := list[0].Object
	data, _, err := b.Get(t.Context(), key)
	require.NoError(t, err)

	require.NoError(t, b.Delete(t.Context(), key))
	require.Contains(t, do(exitFailed, "readmit"), "1 block could not be read: restore the object, or discard")
	_, err = b.Put(t.Context(), key, data)
	require.NoError(t, err)
	require.Contains(t, do(exitFailed, "discard", id), "can be read")
	require.Contains(t, do(exitOK, "readmit", key), "readmitted")
	require.Equal(t, "no block is in quarantine\n", do(exitOK, "list"))

	query := []string{"query", "--bucket", url, "--time", at.Add(time.Minute).Format(time.RFC3339), "sum_over_time(ticks[2m])"}
	require.NoError(t, b.Delete(t.Context(), key))
	code, _, errs := command(t, query...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, id)
	require.Contains(t, do(exitOK, "discard", id), "discarded")
	code, out, errs := command(t, query...)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "1", "the other block")

	do(exitUsage, "discard")
	do(exitUsage, "nosuch")
	do(exitUsage, "list", "x")
	do(exitUsage, "list", "--tenant", "a/b")
	do(exitFailed, "discard", "nosuch")
}
