package blocks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// small is a block of every codec that is quick to select from.
func small() []blocks.BuildSeries {
	r := rand.New(rand.NewSource(3))
	var in []blocks.BuildSeries
	for i := range 14 {
		in = append(in, blocks.BuildSeries{
			Labels:  labels.FromStrings("__name__", fmt.Sprintf("m%d", i%5), "i", fmt.Sprint(i)),
			Columns: columns(r, i, 20, i%3 == 0),
		})
	}
	return in
}

// answers selects everything and returns it as text, or the first error.
func answers(r blocks.RangeReader, m *blocks.Meta, ms ...*labels.Matcher) (out []string, err error) {
	sel, err := blocks.Select(context.Background(), r, m, &blocks.Query{Range: day.Range(), Matchers: ms})
	if err != nil {
		return nil, err
	}
	defer sel.Close()
	for _, s := range sel.Series {
		var c model.Columns
		if err := s.Samples(&c, day.Range()); err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprint(s.Labels(), c))
	}
	return out, nil
}

// TestEveryByteCounts flips a bit in each byte: whoever reads the byte must notice, and nobody may answer differently.
func TestEveryByteCounts(t *testing.T) {
	m, b := build(t, small())
	any, name := labels.MustNewMatcher(labels.MatchNotEqual, "i", "zzz"), labels.MustNewMatcher(labels.MatchEqual, "__name__", "m3")
	wantAny, err := answers(blocks.Bytes(b), m, any)
	require.NoError(t, err)
	wantName, err := answers(blocks.Bytes(b), m, name)
	require.NoError(t, err)
	require.Len(t, wantName, 3)
	check := func(i int, want, got []string, err error) bool {
		if err == nil {
			require.Equal(t, want, got, "byte %d", i)
			return false
		}
		require.True(t, errors.Is(err, model.ErrCorrupt) || errors.Is(err, model.ErrVersion), "byte %d: %v", i, err)
		return true
	}
	for i := range b {
		b[i] ^= 1 << (i % 8)
		require.Error(t, blocks.Verify(b), "byte %d", i)
		got, err := answers(blocks.Bytes(b), m, any)
		noticed := check(i, wantAny, got, err)
		inside := int64(i) >= m.Chunks.Offset && int64(i) < m.Postings.End()
		require.Equal(t, inside, noticed, "byte %d of %d", i, len(b))
		if noticed {
			require.ErrorContains(t, err, blocks.Key(m))
			require.ErrorContains(t, err, " at ")
		}
		got, err = answers(blocks.Bytes(b), m, name)
		check(i, wantName, got, err)
		if got, err := blocks.Open(t.Context(), blocks.Bytes(b), "key", int64(len(b))); err == nil {
			require.True(t, int64(i) < m.Postings.End() || got.CRC != m.CRC, "byte %d", i)
		}
		b[i] ^= 1 << (i % 8)
	}
	for i := range b {
		require.Error(t, blocks.Verify(b[:i]))
	}
	require.NoError(t, blocks.Verify(b))
}

func TestOpen(t *testing.T) {
	m, b := build(t, small())
	got, err := blocks.Open(t.Context(), blocks.Bytes(b), "key", int64(len(b)))
	require.NoError(t, err)
	require.Equal(t, m, got)
	_, err = blocks.Open(t.Context(), blocks.Bytes(b), "key", int64(len(b))-1)
	require.ErrorIs(t, err, model.ErrCorrupt)
	newer := slices.Clone(b)
	newer[7]++
	require.ErrorIs(t, blocks.Verify(newer), model.ErrVersion)
}

// TestGoldenBlock reads the block that lies in testdata and builds it again, byte for byte.
func TestGoldenBlock(t *testing.T) {
	name := filepath.Join("testdata", "block-v2.vb")
	m, b := build(t, small())
	if *golden {
		require.NoError(t, os.WriteFile(name, b, 0o644))
	}
	old, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, blocks.Verify(old))
	om, err := blocks.Open(t.Context(), blocks.Bytes(old), "old", int64(len(old)))
	require.NoError(t, err)
	want, err := answers(blocks.Bytes(b), m)
	require.NoError(t, err)
	got, err := answers(blocks.Bytes(old), om)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.True(t, bytes.Equal(old, b), "the same input gives the same bytes; with a new compressor rewrite the file with -update beside the old one")
}

func TestBuildRefuses(t *testing.T) {
	at := day.Range().MinMs
	ls := func(n string) labels.Labels { return labels.FromStrings("__name__", n) }
	one := &model.Columns{T: []int64{at}, V: []float64{1}}
	for name, in := range map[string][]blocks.BuildSeries{
		"no series":         {},
		"no samples":        {{Labels: ls("a"), Columns: &model.Columns{}}},
		"wrong order":       {{Labels: ls("b"), Columns: one}, {Labels: ls("a"), Columns: one}},
		"twice":             {{Labels: ls("a"), Columns: one}, {Labels: ls("a"), Columns: one}},
		"day before":        {{Labels: ls("a"), Columns: &model.Columns{T: []int64{at - 1}, V: []float64{1}}}},
		"day after":         {{Labels: ls("a"), Columns: &model.Columns{T: []int64{at, at + model.MsPerDay}, V: []float64{1, 2}}}},
		"time stands":       {{Labels: ls("a"), Columns: &model.Columns{T: []int64{at, at}, V: []float64{1, 2}}}},
		"columns":           {{Labels: ls("a"), Columns: &model.Columns{T: []int64{at, at + 1}, V: []float64{1}}}},
		"monster histogram": {{Labels: ls("a"), Columns: &model.Columns{T: []int64{at}, V: []float64{1}, H: [][]byte{make([]byte, 5<<20)}}}},
	} {
		_, err := blocks.Build(t.Context(), &blocks.Params{Tenant: "t", Day: day}, plain(in), &bytes.Buffer{})
		require.ErrorIs(t, err, model.ErrInvalid, name)
	}
	_, err := blocks.Build(t.Context(), &blocks.Params{Tenant: "../..", Day: day}, plain(nil), &bytes.Buffer{})
	require.ErrorIs(t, err, model.ErrInvalid)
	full := errors.New("disk full")
	_, err = blocks.Build(t.Context(), &blocks.Params{Tenant: "t", Day: day}, each(small()), failing{full})
	require.ErrorIs(t, err, full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func plain(in []blocks.BuildSeries) iter.Seq2[blocks.BuildSeries, error] {
	return func(yield func(blocks.BuildSeries, error) bool) {
		for _, s := range in {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// TestOwnTimestamps has more timestamps than the run section takes, so that runs lie in chunk pages.
func TestOwnTimestamps(t *testing.T) {
	r := rand.New(rand.NewSource(9))
	var in []blocks.BuildSeries
	want := map[string]*model.Columns{}
	for i := range 400 {
		n := 1500
		if i%40 == 0 {
			n = 9000
		}
		s := blocks.BuildSeries{Labels: labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)), Columns: columns(r, 1, n, true)}
		in, want[s.Labels.String()] = append(in, s), s.Columns
		// A twin shares the timestamps within the page.
		twin := blocks.BuildSeries{Labels: labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "twin", "x"), Columns: s.Columns}
		in, want[twin.Labels.String()] = append(in, twin), s.Columns
	}
	m, b := build(t, in)
	require.LessOrEqual(t, m.Runs.Length, int64(256<<10))
	require.Greater(t, m.Runs.Length, int64(200<<10))
	for _, rg := range []model.TimeRange{day.Range(), {MinMs: m.MinT + 5_000_000, MaxMs: m.MinT + 5_100_000}, {MinMs: m.MaxT - 100_000, MaxMs: m.MaxT}} {
		sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: rg})
		require.NoError(t, err)
		found := 0
		for _, s := range sel.Series {
			var c model.Columns
			require.NoError(t, s.Samples(&c, rg))
			requireColumns(t, want[s.Labels().String()], &c, rg)
			found += c.Len()
		}
		all := 0
		for _, c := range want {
			for _, at := range c.T {
				if rg.Contains(at) {
					all++
				}
			}
		}
		require.Equal(t, all, found, "%v", rg)
		sel.Close()
	}
	require.NoError(t, blocks.Verify(b))
}

// TestConcurrentSamples uses one selection from several goroutines, out of order, so that pages are evicted and opened again.
func TestConcurrentSamples(t *testing.T) {
	in := large(30, 40, 200)
	m, b := build(t, in)
	want := map[string]*model.Columns{}
	for _, s := range in {
		want[s.Labels.String()] = s.Columns
	}
	sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: day.Range()})
	require.NoError(t, err)
	defer sel.Close()
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewSource(int64(g)))
			var c model.Columns
			for range 300 {
				s := sel.Series[r.Intn(len(sel.Series))]
				c.Reset()
				if err := s.Samples(&c, day.Range()); err != nil || !slices.Equal(c.V, want[s.Labels().String()].V) {
					errs <- fmt.Errorf("goroutine %d: wrong samples: %w", g, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	require.NoError(t, <-errs)
}
