package wal

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"path"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/vfs"
)

const (
	testDir    = "/data"
	testWriter = "writer-1"
)

func open(t testing.TB, fsys vfs.FS) *Log {
	t.Helper()
	l, err := Open(fsys, testDir, testWriter, nil)
	require.NoError(t, err)
	return l
}

// put appends one record of the tenant: a definition that names the batch, and a sample whose time is the batch's number.
func put(l *Log, tenant string, batch int) error {
	return l.Append(func(e *Encoder) {
		e.Begin(tenant)
		e.Define(uint32(batch), labels.FromStrings("batch", fmt.Sprint(batch)))
		e.Sample(uint32(batch), int64(batch), float64(batch)/3)
		e.Histogram(uint32(batch), int64(batch), []byte(fmt.Sprint("histogram ", batch)))
	})
}

// replayed returns the numbers of the batches in the log, all generations, and checks that each is whole.
func replayed(t testing.TB, l *Log) (batches []int) {
	t.Helper()
	last := uint64(0)
	for _, s := range l.Segments() {
		if s.Generation == last {
			continue
		}
		last = s.Generation
		require.NoError(t, l.Replay(context.Background(), last, 0, func(r Record) error {
			batches = append(batches, batchOf(t, r))
			return nil
		}))
	}
	return batches
}

func batchOf(t testing.TB, r Record) int {
	t.Helper()
	require.Len(t, r.Samples, 1)
	b := int(r.Samples[0].T)
	require.Equal(t, []RefSample{{uint32(b), int64(b), float64(b) / 3}}, r.Samples)
	require.Equal(t, []Def{{uint32(b), labels.FromStrings("batch", fmt.Sprint(b))}}, r.Defs)
	require.Equal(t, []RefHistogram{{uint32(b), int64(b), []byte(fmt.Sprint("histogram ", b))}}, r.Histograms)
	return b
}

func localPath(generation, seq uint64) string {
	return path.Join(testDir, "wal", testWriter, fmt.Sprintf("%010d", generation), fmt.Sprintf("%08d.wal", seq))
}

// writeFile replaces a file's content, durably.
func writeFile(t testing.TB, fsys vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := replaceFile(fsys, name, b)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func mustRead(t testing.TB, fsys vfs.FS, name string) []byte {
	t.Helper()
	b, err := readFile(fsys, name, nil)
	require.NoError(t, err)
	return b
}

// sampleBits makes samples comparable with NaNs among them.
func sampleBits(s []RefSample) (out []byte) {
	for _, r := range s {
		out = binary.AppendUvarint(out, uint64(r.Ref))
		out = binary.AppendVarint(out, r.T)
		out = binary.AppendUvarint(out, math.Float64bits(r.V))
	}
	return out
}

func itoa(n int) string { return fmt.Sprint(n) }
