package blocks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// mergeTo merges the blocks to one of the format.
func (s store) mergeTo(t testing.TB, inputs []*blocks.Meta, f blocks.Format) (*blocks.Meta, error) {
	t.Helper()
	m := blocks.NewMerger(s, inputs, nil)
	defer m.Close()
	var b bytes.Buffer
	meta, err := blocks.Build(t.Context(), blocks.MergeParams(inputs, f, 0, 0), m.Series(t.Context(), func() bool { return true }), &b)
	if err != nil {
		return nil, err
	}
	require.Equal(t, f, meta.Format)
	require.NoError(t, blocks.Verify(b.Bytes()))
	s[blocks.Key(meta)] = b.Bytes()
	done, total := m.Progress()
	require.Equal(t, total, done)
	return meta, nil
}

// TestMergeRows compacts hot blocks to parquet, merges late ones into that, and goes back: each time the samples are those of the hot
// blocks merged.
func TestMergeRows(t *testing.T) {
	r := rand.New(rand.NewSource(seedOf(t)))
	for range 8 {
		s := store{}
		var early, late []*blocks.Meta
		for gen := range uint64(6) {
			var in []blocks.BuildSeries
			for i := range 40 {
				if r.Intn(3) == 0 {
					continue
				}
				c := columns(r, i+int(gen), 1+r.Intn(200), i%2 == 0)
				if r.Intn(2) == 0 {
					c = wholeDay(c)
				}
				in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%d", i%7), "i", fmt.Sprint(i)), Columns: c})
			}
			if gen < 4 {
				early = append(early, s.add(t, gen, in))
			} else {
				late = append(late, s.add(t, gen, in))
			}
		}
		all, err := s.mergeTo(t, append(append([]*blocks.Meta{}, early...), late...), blocks.Native)
		require.NoError(t, err)
		compacted, err := s.mergeTo(t, early, blocks.Parquet)
		require.NoError(t, err)
		again, err := s.mergeTo(t, append([]*blocks.Meta{compacted}, late...), blocks.Parquet)
		require.NoError(t, err)
		back, err := s.mergeTo(t, []*blocks.Meta{again}, blocks.Native)
		require.NoError(t, err)
		for _, m := range []*blocks.Meta{again, back} {
			requireSame(t, s, s, all, m, day.Range())
			require.Equal(t, all.Samples, m.Samples)
			require.Equal(t, all.Histograms, m.Histograms)
			require.Equal(t, all.Sources, m.Sources)
		}
	}
}

// TestMergeRowsOfRanges merges blocks of several ranges and pages.
func TestMergeRowsOfRanges(t *testing.T) {
	s := store{}
	in := manyRanges(100)
	m, b := buildParquet(t, in)
	s[blocks.Key(m)] = b
	late := s.add(t, 9, []blocks.BuildSeries{{
		Labels:  labels.FromStrings("__name__", "metric_3", "instance", "host-00070", "job", "job-0"),
		Columns: &model.Columns{T: []int64{m.MinT + 7, m.MinT + 100_000_00}, V: []float64{1, 2}},
	}})
	out, err := s.mergeTo(t, []*blocks.Meta{m, late}, blocks.Parquet)
	require.NoError(t, err)
	require.Equal(t, m.Series, out.Series)
	require.Equal(t, m.Samples+2, out.Samples)
	requireSame(t, s, s, m, out, day.Range(), labels.MustNewMatcher(labels.MatchRegexp, "instance", "host-000[0-6].*"))
}

// TestMergeRowsFaults: a damaged byte of an input names it and never makes another output.
func TestMergeRowsFaults(t *testing.T) {
	s := store{}
	m, b := buildParquet(t, smallRows())
	s[blocks.Key(m)] = b
	good, err := s.mergeTo(t, []*blocks.Meta{m}, blocks.Parquet)
	require.NoError(t, err)
	want := bytes.Clone(s[blocks.Key(good)])
	for i := 0; i < len(b); i += 13 {
		b[i] ^= 4
		out, err := s.mergeTo(t, []*blocks.Meta{m}, blocks.Parquet)
		if err == nil {
			require.True(t, bytes.Equal(want, s[blocks.Key(out)]), "byte %d", i)
		} else {
			var fault *blocks.InputError
			require.True(t, errors.As(err, &fault) && fault.ID == m.ID, "byte %d: %v", i, err)
			require.ErrorIs(t, err, model.ErrCorrupt)
		}
		b[i] ^= 4
	}
}

// laterStore answers nothing but the first read of a block, until the merge has yielded a series, and then nobody whose context has ended.
type laterStore struct {
	store
	first   sync.Once
	yielded chan struct{}
}

func (s *laterStore) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	first := ranges[0].Length < 1<<10 // stripes
	s.first.Do(func() { first = true })
	if !first {
		select {
		case <-s.yielded:
		case <-ctx.Done():
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return s.store.ReadRanges(ctx, key, ranges)
}

// TestMergeRowsAhead: what is read ahead of a parquet block with many series pages is not bound to the context of its first read.
func TestMergeRowsAhead(t *testing.T) {
	r := rand.New(rand.NewSource(seedOf(t)))
	long := make([]byte, 400)
	var in []blocks.BuildSeries
	for i := range 400 {
		for k := range long {
			long[k] = byte('a' + r.Intn(26))
		}
		c := &model.Columns{T: []int64{day.Range().MinMs}, V: []float64{1}}
		in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%04d", i), "long", string(long)), Columns: c})
	}
	meta, data := buildParquet(t, in)
	require.Greater(t, meta.SeriesPages.Length, int64(4*16<<10), "it has to be several windows")
	s := &laterStore{store: store{blocks.Key(meta): data}, yielded: make(chan struct{})}
	m := blocks.NewMerger(s, []*blocks.Meta{meta}, &blocks.MergeOptions{ReadBytes: 1})
	defer m.Close()
	n := 0
	for _, err := range m.Series(t.Context(), func() bool { return true }) {
		require.NoError(t, err)
		if n++; n == 1 {
			close(s.yielded)
		}
	}
	require.Equal(t, len(in), n)
}
