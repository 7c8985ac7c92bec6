package lines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
)

func packed(t *testing.T, kind, text string) string {
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if kind == ".zst" {
		var err error
		w, err = zstd.NewWriter(&b)
		require.NoError(t, err)
	}
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// TestArchivesThatBreakOff: wherever a compressed file ends, what is read is whole lines from its beginning, and it is said that something is missing.
func TestArchivesThatBreakOff(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var text strings.Builder
	for text.Len() < 3<<20 {
		fmt.Fprintf(&text, "a{b=\"%x\"} 1 %d\n", rng.Uint64(), rng.Int64())
	}
	for _, kind := range []string{".gz", ".zst"} {
		whole := packed(t, kind, text.String())
		for range 20 {
			n := rng.IntN(len(whole))
			a, err := newArchive("x"+kind, iotest.HalfReader(strings.NewReader(whole[:n])))
			require.NoError(t, err)
			got, err := io.ReadAll(a)
			require.NoError(t, err)
			require.Error(t, a.damage, "%d of %d", n, len(whole))
			require.True(t, strings.HasPrefix(text.String(), string(got)))
			require.True(t, len(got) == 0 || got[len(got)-1] == '\n', "%d bytes", len(got))
			a.close()
		}
		// A bit that flips is found by the sum at the end at the latest.
		n := len(whole)/2 + rng.IntN(len(whole)/4)
		a, err := newArchive("-", strings.NewReader(whole[:n]+string(whole[n]^1)+whole[n+1:]))
		require.NoError(t, err)
		_, err = io.ReadAll(a)
		require.NoError(t, err)
		require.Error(t, a.damage)
		a.close()
		// The disk is another matter.
		broken := errors.New("broken")
		a, err = newArchive("x"+kind, io.MultiReader(strings.NewReader(whole[:n]), iotest.ErrReader(broken)))
		require.NoError(t, err)
		_, err = io.ReadAll(a)
		require.ErrorIs(t, err, broken)
		a.close()
	}
}

func TestArchive(t *testing.T) {
	long := strings.Repeat("x", 3*heldBack) + "\ny"
	for _, text := range []string{"", "a", "a\nb", "\n", long, long + "\n"} {
		for _, mark := range []string{"", byteOrderMark} {
			for _, name := range []string{"-", "x.gz", "x.zst"} {
				in := mark + text
				if name != "-" {
					in = packed(t, filepath.Ext(name), in)
				}
				for _, as := range []string{name, "-"} { // which is known by how it begins
					a, err := newArchive(as, strings.NewReader(in))
					require.NoError(t, err)
					got, err := io.ReadAll(a)
					require.NoError(t, err)
					require.NoError(t, a.damage)
					require.True(t, text == string(got), "%s: %d bytes instead of %d", name, len(got), len(text))
					a.close()
				}
			}
		}
	}
	for _, name := range []string{"x.gz", "x.zst"} {
		for _, in := range []string{"", "a", "a 1 1\nb 2 2\n"} {
			a, err := newArchive(name, strings.NewReader(in))
			require.NoError(t, err)
			got, err := io.ReadAll(a)
			require.NoError(t, err)
			require.Empty(t, got)
			require.Error(t, a.damage, "%s %q", name, in)
			a.close()
		}
	}
}

// TestDamagedFile takes over the other files, and what the damaged one has before the place.
func TestDamagedFile(t *testing.T) {
	at := migratetest.FirstDay.Range().MinMs
	text := fmt.Sprintf("a 1 %d\n", at)
	path := filepath.Join(t.TempDir(), "x.gz")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := fmt.Fprintf(z, "b 2 %d\nc 3 %d", at, at)
	require.NoError(t, err)
	require.NoError(t, z.Flush())
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	for _, strict := range []bool{false, true} {
		w := migratetest.New(t)
		skips := migrate.NewSkips(strict)
		src := NewText([]string{path, write(t, "y", text)}, false, skips, nil)
		if strict {
			_, err := src.Days(t.Context(), migratetest.FirstDay.Range(), func(labels.Labels) bool { return true })
			require.ErrorContains(t, err, "cannot be decompressed")
			require.NoError(t, src.Close())
			continue
		}
		w.Backfill(migratetest.Small(), src, skips)
		want := map[string]string{}
		sample(want, labels.FromStrings("__name__", "a"), at, 1)
		sample(want, labels.FromStrings("__name__", "b"), at, 2)
		w.Complete(want, "%v", skips.Named())
		require.Equal(t, map[string]int64{"file": 1}, skips.Counts())
		require.Equal(t, path, skips.Named()[0].Where)
		require.Equal(t, int64(b.Len()), skips.Named()[0].Offset)
		require.NoError(t, src.Close())
	}
}
