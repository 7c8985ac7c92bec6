package prom

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	tsdbindex "github.com/prometheus/prometheus/tsdb/index"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// damagePostings changes a byte in the list of postings of a label in the index of a block.
func damagePostings(t *testing.T, dir string, of ...labels.Label) {
	path := filepath.Join(dir, "index")
	r, err := tsdbindex.NewFileReader(path, tsdbindex.DecodePostingsRaw)
	require.NoError(t, err)
	at, err := r.PostingsRanges()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, l := range of {
		require.Contains(t, at, l)
		b[at[l].Start+5] ^= 1
	}
	require.NoError(t, os.WriteFile(path, b, 0o600))
}

// TestDamagedPostings finds the series of a metric whose list of them is damaged; without the list of all they are left out and named, and the other metrics are there.
func TestDamagedPostings(t *testing.T) {
	w := newWorld(t)
	dir, want := w.databaseOf(2, 12)
	m1, all := labels.Label{Name: "__name__", Value: "m1"}, labels.Label{}
	damagePostings(t, blockDirs(t, dir)[0], m1)
	r, skips := w.tsdb(migratetest.Small(), dir)
	w.Complete(want)
	require.NotZero(t, r.Skipped["index"])
	strict := migrate.NewSkips(true)
	for _, s := range skips.Named() {
		require.Contains(t, s.Where, "/index")
		require.NoError(t, strict.Add(s))
	}

	damagePostings(t, blockDirs(t, dir)[1], m1, all)
	w = newWorld(t)
	_, skips = w.tsdb(migratetest.Small(), dir)
	got, _, _ := w.Read()
	require.Less(t, len(got), len(want))
	require.Greater(t, len(got), len(want)/2)
	for k, v := range got {
		require.Equal(t, want[k], v)
	}
	named := ""
	for _, s := range skips.Named() {
		named += s.String() + "\n"
	}
	require.Contains(t, named, `the series of metric "m1" are left out`)
}

// TestHostileChunks leaves out chunks that are rubbish under a checksum that fits, whatever the code of Prometheus does over them.
func TestHostileChunks(t *testing.T) {
	w := newWorld(t)
	dir, _ := w.databaseOf(1, 12)
	segment := filepath.Join(blockDirs(t, dir)[0], "chunks", "000001")
	good, err := os.ReadFile(segment)
	require.NoError(t, err)
	leftOut := 0
	for e := chunkenc.EncXOR; e <= chunkenc.EncFloatHistogramST; e++ {
		for range 20 {
			b := append([]byte(nil), good...)
			for at := 8; at < len(b); {
				n, size := binary.Uvarint(b[at:])
				body := b[at+size : at+size+1+int(n)]
				if w.Rand.IntN(2) == 0 {
					body[0] = byte(e)
					for i := 1; i < len(body); i++ {
						body[i] = byte(w.Rand.Uint32())
					}
					body[1], body[2] = 0, byte(w.Rand.IntN(200)) // few samples
				}
				at += size + 1 + int(n)
				binary.BigEndian.PutUint32(b[at:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
				at += 4
			}
			require.NoError(t, os.WriteFile(segment, b, 0o600))
			skips := migrate.NewSkips(false)
			src, err := OpenTSDB(dir, skips, &TSDBOptions{TempDir: t.TempDir()})
			require.NoError(t, err)
			for s, err := range src.Series(context.Background(), migratetest.FirstDay.Range(), func(labels.Labels) bool { return true }) {
				require.NoError(t, err)
				c := &model.Columns{}
				require.NoError(t, s.Samples(c, migratetest.FirstDay.Range()))
				for i := 1; i < c.Len(); i++ {
					require.Less(t, c.T[i-1], c.T[i])
				}
			}
			require.NoError(t, src.Close())
			leftOut += len(skips.Named())
		}
	}
	require.Positive(t, leftOut)
}

// TestCutFiles: a block whose small files are cut, anywhere, is left out and named, and the others are there.
func TestCutFiles(t *testing.T) {
	w := newWorld(t)
	dir, want := w.databaseOf(2, 12)
	block := blockDirs(t, dir)[0]
	for _, name := range []string{"tombstones", "meta.json"} {
		path := filepath.Join(block, name)
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		for n := range whole {
			require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
			if n > 20 && w.Rand.IntN(20) > 0 {
				continue
			}
			skips := migrate.NewSkips(false)
			src, err := OpenTSDB(dir, skips, nil)
			require.NoError(t, err)
			require.NoError(t, src.Close())
			require.Len(t, skips.Named(), 1, "%s of %d bytes", name, n)
			require.Equal(t, block, skips.Named()[0].Where)
		}
		require.NoError(t, os.WriteFile(path, whole, 0o600))
	}
	w.tsdb(migratetest.Small(), dir)
	w.Complete(want)
}
