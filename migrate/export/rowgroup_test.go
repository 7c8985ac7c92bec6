package export_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate/export"
	"github.com/varvedb/varve/migrate/migratetest"
)

// TestRowGroupBytes: a row group of Parquet ends with its bytes of labels too, as it is held until its end, and nothing is lost between two.
func TestRowGroupBytes(t *testing.T) {
	rng := migratetest.Rand(t)
	h := &history{}
	long := make([]byte, 50_000)
	const series = 1500 // 75 MB of labels
	for i := range series {
		for k := range 100 {
			long[k*500] = byte('a' + rng.IntN(26))
		}
		for k := range long {
			if long[k] == 0 {
				long[k] = 'x'
			}
		}
		h.add(labels.FromStrings("__name__", "m", "i", fmt.Sprintf("%04d", i), "long", string(long))).Append(start+int64(i), float64(i))
	}
	h.sort()
	out := filepath.Join(t.TempDir(), "out.parquet")
	r := newExportWorld(t, h).must(&export.Config{To: "parquet", Out: out})
	require.EqualValues(t, series, r.Samples)
	f, err := os.Open(out)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	info, err := f.Stat()
	require.NoError(t, err)
	p, err := parquet.OpenFile(f, info.Size())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(p.RowGroups()), 3)
	type row struct {
		Value *float64 `parquet:"value"`
	}
	rows := parquet.NewGenericReader[row](f)
	got, buf := 0, make([]row, 100)
	for {
		n, err := rows.Read(buf)
		for _, one := range buf[:n] {
			require.NotNil(t, one.Value)
			require.InDelta(t, float64(got), *one.Value, 0)
			got++
		}
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	require.Equal(t, series, got)
	require.NoError(t, rows.Close())
}
