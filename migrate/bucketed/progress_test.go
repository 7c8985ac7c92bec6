package bucketed

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// TestDownloadProgress tells how much of the blocks has come, before there is a sample of them.
func TestDownloadProgress(t *testing.T) {
	w := newWorld(t)
	from := migratetest.FirstDay.Range().MinMs
	w.upload(block{samples: samples{`a`: every(from, from+2*model.MsPerDay, hour)}})
	w.upload(block{samples: samples{`b`: every(from+model.MsPerDay, from+2*model.MsPerDay, hour)}})
	want := int64(0)
	for key, data := range w.files {
		if dataFile.MatchString(key[27:]) {
			want += int64(len(data))
		}
	}
	require.Positive(t, want)
	c, _ := w.Components()
	first, last := migrate.Progress{}, migrate.Progress{}
	c.Progress = func(p migrate.Progress) {
		if first.Downloaded == 0 {
			first = p
		}
		last = p
	}
	skips := migrate.NewSkips(true)
	src := w.source(w.from, skips, nil)
	_, err := migrate.Run(context.Background(), migratetest.Small(), c, src, skips)
	require.NoError(t, err)
	require.NoError(t, src.Close())
	require.Zero(t, first.Samples)
	require.Positive(t, first.Downloaded)
	require.Equal(t, want, last.Downloaded)
	require.Equal(t, want, last.DownloadTotal)
}
