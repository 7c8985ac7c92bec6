package blocks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// store is a RangeReader of several blocks by key.
type store map[string][]byte

func (s store) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	b, ok := s[key]
	if !ok {
		return nil, fmt.Errorf("get %s: %w", key, model.ErrNotFound)
	}
	return blocks.Bytes(b).ReadRanges(ctx, key, ranges)
}

// add builds a block of the series as generation gen and keeps it.
func (s store) add(t testing.TB, gen uint64, in []blocks.BuildSeries) *blocks.Meta {
	t.Helper()
	var b bytes.Buffer
	m, err := blocks.Build(t.Context(), &blocks.Params{Tenant: "t1", Day: day, Writer: "w", Generation: gen, CreatedMs: int64(gen)}, each(in), &b)
	require.NoError(t, err)
	s[blocks.Key(m)] = b.Bytes()
	return m
}

// seedOf is the seed of a random test, from the environment or drawn, and printed.
func seedOf(t testing.TB) int64 {
	seed := time.Now().UnixNano()
	if s := os.Getenv("VARVE_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseInt(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("VARVE_SEED=%d", seed)
	return seed
}

// merge merges the blocks to as many as it takes with at most n series each.
func (s store) merge(t testing.TB, inputs []*blocks.Meta, o *blocks.MergeOptions, n int) (out []*blocks.Meta, err error) {
	t.Helper()
	m := blocks.NewMerger(s, inputs, o)
	defer m.Close()
	for !m.Done() {
		var b bytes.Buffer
		count := 0
		more := func() bool { count++; return count <= n }
		meta, err := blocks.Build(t.Context(), blocks.MergeParams(inputs, blocks.Native, len(out), 0), m.Series(t.Context(), more), &b)
		if err != nil {
			return nil, err
		}
		require.NoError(t, blocks.Verify(b.Bytes()))
		s[blocks.Key(meta)] = b.Bytes()
		out = append(out, meta)
	}
	done, total := m.Progress()
	require.Equal(t, total, done)
	return out, nil
}

// truth is the naive model: samples by series and timestamp, the last writer of each wins.
type truth map[string]map[int64]string

func (w truth) put(ls labels.Labels, c *model.Columns) {
	of := w[ls.String()]
	if of == nil {
		of = map[int64]string{}
		w[ls.String()] = of
	}
	for i, at := range c.T {
		if c.H != nil && c.H[i] != nil {
			of[at] = "h" + string(c.H[i])
		} else {
			of[at] = fmt.Sprintf("%x", math.Float64bits(c.V[i]))
		}
	}
}

func (w truth) read(t testing.TB, r blocks.RangeReader, m *blocks.Meta) {
	t.Helper()
	sel, err := blocks.Select(t.Context(), r, m, &blocks.Query{Range: day.Range()})
	require.NoError(t, err)
	defer sel.Close()
	for _, s := range sel.Series {
		var c model.Columns
		require.NoError(t, s.Samples(&c, day.Range()))
		require.NotZero(t, c.Len())
		w.put(s.Labels(), &c)
	}
}

// TestMergeAgainstModel merges random blocks: series come and go, stretches overlap, samples are written over by floats and
// histograms of later blocks.
func TestMergeAgainstModel(t *testing.T) {
	r := rand.New(rand.NewSource(seedOf(t)))
	for range 12 {
		s, want := store{}, truth{}
		var inputs []*blocks.Meta
		var samples int64
		for gen := range 1 + r.Intn(9) {
			var in []blocks.BuildSeries
			for i := range 40 {
				if r.Intn(3) == 0 {
					continue
				}
				c := columns(r, i+r.Intn(2), 1+r.Intn(60), r.Intn(2) == 0)
				if r.Intn(20) == 0 {
					c = columns(r, i, 6000, false)
				}
				shift := int64(r.Intn(200)) * 15_000
				for j := range c.T {
					c.T[j] += shift
				}
				ls := labels.FromStrings("__name__", "m"+strconv.Itoa(i%7), "i", strconv.Itoa(i), "A", strconv.Itoa(i%2))
				in = append(in, blocks.BuildSeries{Labels: ls, Columns: c})
			}
			if len(in) == 0 {
				continue
			}
			m := s.add(t, uint64(gen), in)
			inputs = append(inputs, m)
			samples += m.Samples
			want.read(t, s, m)
		}
		o := &blocks.MergeOptions{ReadBytes: int64(1 + r.Intn(1<<20)), Sequential: r.Intn(2) == 0}
		n := 1 + r.Intn(50)
		out, err := s.merge(t, inputs, o, n)
		require.NoError(t, err)
		got := truth{}
		for _, m := range out {
			require.LessOrEqual(t, m.Series, int64(n))
			got.read(t, s, m)
		}
		require.Equal(t, want, got)
		// Merging merges in two steps gives the same.
		if k := len(inputs) / 2; k > 0 {
			first, err := s.merge(t, inputs[:k], nil, 1000)
			require.NoError(t, err)
			out, err = s.merge(t, append(first, inputs[k:]...), nil, 1000)
			require.NoError(t, err)
			require.Len(t, out, 1)
			again := truth{}
			again.read(t, s, out[0])
			require.Equal(t, want, again)
			require.Equal(t, []blocks.Source{{Writer: "w", From: inputs[0].Generation, To: inputs[len(inputs)-1].Generation}}, out[0].Sources)
		}
	}
}

// TestMergeNames: what an output is called and says of itself depends on the inputs alone.
func TestMergeNames(t *testing.T) {
	a := &blocks.Meta{ID: "a", Tenant: "t", Day: day, Writer: "w", Generation: 4, CreatedMs: 10, Tombstones: []string{"y", "x"}}
	b := &blocks.Meta{ID: "b", Tenant: "t", Day: day, Writer: "v", Generation: 7, CreatedMs: 9, Tombstones: []string{"x"}}
	c := &blocks.Meta{ID: "c", Tenant: "t", Day: day, CreatedMs: 3, Sources: []blocks.Source{{Writer: "w", From: 1, To: 3}, {Writer: "w", From: 6, To: 6}}}
	p := blocks.MergeParams([]*blocks.Meta{a, b, c}, blocks.Native, 0, 0)
	require.Equal(t, &blocks.Params{
		ID: p.ID, Format: blocks.Native, Tenant: "t", Day: day, CreatedMs: 10, Replaces: []string{"a", "b", "c"}, Tombstones: []string{"x", "y"},
		Sources: []blocks.Source{{Writer: "v", From: 7, To: 7}, {Writer: "w", From: 1, To: 4}, {Writer: "w", From: 6, To: 6}},
	}, p)
	require.Equal(t, "dg5qeqvgddp3hpp879l0ds3a5s", p.ID, "ids must not change: a worker finds the object of another by them")
	ids := map[string]bool{p.ID: true}
	for _, other := range []*blocks.Params{
		blocks.MergeParams([]*blocks.Meta{b, a, c}, blocks.Native, 0, 0), blocks.MergeParams([]*blocks.Meta{a, b}, blocks.Native, 0, 0),
		blocks.MergeParams([]*blocks.Meta{a, b, c}, blocks.Parquet, 0, 0), blocks.MergeParams([]*blocks.Meta{a, b, c}, blocks.Native, 1, 0),
		blocks.MergeParams([]*blocks.Meta{a, b, c}, blocks.Native, 0, 1),
	} {
		require.False(t, ids[other.ID])
		ids[other.ID] = true
	}
}

// TestMergeNoticesEveryByte flips each byte of an input that a merge reads, and cuts it short: the merge must name the input, or
// not have needed the byte.
func TestMergeNoticesEveryByte(t *testing.T) {
	s := store{}
	good, bad := s.add(t, 1, small()[:9]), s.add(t, 2, small()[5:])
	data := s[blocks.Key(bad)]
	from, to := bad.Chunks.Offset, bad.Postings.Offset
	check := func(what string, at int) {
		_, err := s.merge(t, []*blocks.Meta{good, bad}, nil, 1000)
		require.ErrorIs(t, err, model.ErrCorrupt, "%s %d", what, at)
		var input *blocks.InputError
		require.True(t, errors.As(err, &input) && input.ID == bad.ID, "%s %d: %v", what, at, err)
	}
	for i := from; i < to; i++ {
		data[i] ^= 0x04
		check("byte", int(i))
		data[i] ^= 0x04
	}
	for n := from; n < to; n += 7 {
		s[blocks.Key(bad)] = data[:n]
		check("cut to", int(n))
	}
	delete(s, blocks.Key(bad))
	_, err := s.merge(t, []*blocks.Meta{good, bad}, nil, 1000)
	require.ErrorIs(t, err, model.ErrNotFound)
}

// TestMergeBounds: a series that is too long is an error, not memory.
func TestMergeBounds(t *testing.T) {
	s := store{}
	in := []*blocks.Meta{s.add(t, 1, small()), s.add(t, 2, small())}
	_, err := s.merge(t, in, &blocks.MergeOptions{MaxSeriesSamples: 10}, 1000)
	require.ErrorIs(t, err, model.ErrLimit)
	lying := *in[1]
	lying.Samples++
	_, err = s.merge(t, []*blocks.Meta{in[0], &lying}, nil, 1000)
	require.ErrorIs(t, err, model.ErrCorrupt)
}
