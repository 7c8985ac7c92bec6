package cache

import (
	"bytes"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenObject is 40,000 bytes of a pattern, three units of checking.
func goldenObject() (*Object, []byte) {
	b := make([]byte, 40_000)
	for i := range b {
		b[i] = byte(i ^ i>>8)
	}
	return &Object{Key: "d/x", Size: int64(len(b)), CRC: crc32.Checksum(b, castagnoli())}, b
}

func writeCopy(t testing.TB, o *Object, b []byte) []byte {
	var out bytes.Buffer
	w := copyWriter{w: &out, o: o}
	require.NoError(t, w.write(b[:sumBytes]))
	require.NoError(t, w.write(b[sumBytes:]))
	require.NoError(t, w.finish())
	require.Equal(t, copyBytes(o.Size), int64(out.Len()))
	return out.Bytes()
}

// TestGoldenCopy holds the format: what is behind the object in a copy.
func TestGoldenCopy(t *testing.T) {
	const file = "testdata/copy-v1.end"
	o, b := goldenObject()
	end := writeCopy(t, o, b)[o.Size:]
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(file, end, 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, end)
	whole := append(bytes.Clone(b), want...)
	sums, err := readSums(bytes.NewReader(whole), int64(len(whole)), o)
	require.NoError(t, err)
	got, err := readCopy(bytes.NewReader(whole), o, sums, []blob.Range{{Offset: 10, Length: 39_000}})
	require.NoError(t, err)
	require.Equal(t, b[10:39_010], got[0])
	whole[len(whole)-1]++
	_, err = readSums(bytes.NewReader(whole), int64(len(whole)), o)
	require.ErrorIs(t, err, model.ErrVersion)
}

// FuzzCopy reads any file as the copy of an object of any size. It allocates no more than the file has.
func FuzzCopy(f *testing.F) {
	o, b := goldenObject()
	whole := writeCopy(f, o, b)
	f.Add(whole, o.Size, o.CRC, int64(5), int64(20_000))
	f.Add(whole[o.Size:], int64(0), o.CRC, int64(0), int64(0))
	f.Fuzz(func(t *testing.T, file []byte, size int64, crc uint32, off, n int64) {
		if size < 0 || size > 1<<40 {
			return // sizes come from catalogs, which are checked
		}
		o := &Object{Key: "d/x", Size: size, CRC: crc}
		sums, err := readSums(bytes.NewReader(file), int64(len(file)), o)
		if err != nil {
			require.True(t, errors.Is(err, model.ErrCorrupt) || errors.Is(err, model.ErrVersion), "%v", err)
			return
		}
		if off < 0 || n < 0 || off > size || n > size-off {
			return
		}
		got, err := readCopy(bytes.NewReader(file), o, sums, []blob.Range{{Offset: off, Length: n}})
		if err != nil {
			require.ErrorIs(t, err, model.ErrCorrupt)
			return
		}
		require.Equal(t, file[off:off+n], got[0])
	})
}
