package blocks_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// smallRows is a parquet block of samples of every kind, in several windows, that is quick to select from.
func smallRows() []blocks.BuildSeries {
	r := rand.New(rand.NewSource(3))
	var in []blocks.BuildSeries
	for i := range 9 {
		c := columns(r, i, 20, i%3 == 0)
		switch i {
		case 6: // histograms of columns
			c = wholeDay(c)
		case 7:
			for j := range c.T {
				if j%4 == 1 {
					c.H = make([][]byte, len(c.T))
					c.H[j] = model.FloatWithStart(c.T[0], c.V[j])
				}
			}
		case 8:
			c = wholeDay(c)
		}
		in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%d", i%5), "i", fmt.Sprint(i)), Columns: c})
	}
	return in
}

// TestParquetEveryByteCounts flips a bit in each byte: Verify must notice, whoever reads the byte too, and nobody may answer differently.
func TestParquetEveryByteCounts(t *testing.T) {
	m, b := buildParquet(t, smallRows())
	name := labels.MustNewMatcher(labels.MatchEqual, "__name__", "m3")
	wantAny, err := answers(blocks.Bytes(b), m)
	require.NoError(t, err)
	wantName, err := answers(blocks.Bytes(b), m, name)
	require.NoError(t, err)
	require.NotEmpty(t, wantName)
	noticed := 0
	check := func(i int, want, got []string, err error) {
		if err == nil {
			require.Equal(t, want, got, "byte %d", i)
			return
		}
		noticed++
		require.True(t, errors.Is(err, model.ErrCorrupt) || errors.Is(err, model.ErrVersion), "byte %d: %v", i, err)
		require.ErrorContains(t, err, blocks.Key(m))
		require.ErrorContains(t, err, " at ")
	}
	for i := range b {
		b[i] ^= 1 << (i % 8)
		require.Error(t, blocks.Verify(b), "byte %d", i)
		got, err := answers(blocks.Bytes(b), m)
		check(i, wantAny, got, err)
		got, err = answers(blocks.Bytes(b), m, name)
		check(i, wantName, got, err)
		b[i] ^= 1 << (i % 8)
	}
	// Of the row groups Varve reads the columns of samples only, of which there is little in so small a block.
	require.Greater(t, noticed, len(b)/4)
	for i := 0; i < len(b); i += 7 {
		require.Error(t, blocks.Verify(b[:i]))
	}
	require.NoError(t, blocks.Verify(b))
}

func TestParquetOpen(t *testing.T) {
	m, b := buildParquet(t, smallRows())
	got, err := blocks.Open(t.Context(), blocks.Bytes(b), "key", int64(len(b)))
	require.NoError(t, err)
	require.Equal(t, m, got)
	for n := range b {
		_, err = blocks.Open(t.Context(), blocks.Bytes(b[:n]), "key", int64(n))
		require.ErrorIs(t, err, model.ErrCorrupt)
	}
	for _, guess := range []int64{16, 100, 1000, 2000, 4000, 6000} {
		got, err = blocks.OpenGuessing(t.Context(), blocks.Bytes(b), int64(len(b)), guess)
		require.NoError(t, err)
		require.Equal(t, m, got, "%d", guess)
	}
	newer := bytes.Clone(b)
	newer[m.Postings.End()] = 99
	_, err = blocks.Open(t.Context(), blocks.Bytes(newer), "key", int64(len(newer)))
	require.ErrorIs(t, err, model.ErrVersion)
	require.ErrorIs(t, blocks.Verify(blocks.ForgeChecksum(newer)), model.ErrVersion)
	nm, nb := build(t, small())
	got, err = blocks.OpenGuessing(t.Context(), blocks.Bytes(nb), int64(len(nb)), 20)
	require.NoError(t, err)
	require.Equal(t, nm, got)
}

// TestGoldenParquet reads the blocks of version 1 that lie in testdata, and builds the newest again, byte for byte: its writer puts the numbers of short series
// in whole bytes, the one of the other in the least widths.
func TestGoldenParquet(t *testing.T) {
	newest, older := filepath.Join("testdata", "block-v1.parquet"), filepath.Join("testdata", "block-v1-least-widths.parquet")
	m, b := buildParquet(t, smallRows())
	if *golden {
		require.NoError(t, os.WriteFile(newest, b, 0o644))
	}
	want, err := answers(blocks.Bytes(b), m)
	require.NoError(t, err)
	for _, name := range []string{newest, older} {
		old, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, blocks.Verify(old))
		om, err := blocks.Open(t.Context(), blocks.Bytes(old), "old", int64(len(old)))
		require.NoError(t, err)
		got, err := answers(blocks.Bytes(old), om)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, name == newest, bytes.Equal(old, b), "the same input gives the same bytes; with a new compressor rewrite the file with -update beside the old one")
	}
}
