package native

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

func TestCut(t *testing.T) {
	hour := int64(3600e3)
	var c model.Columns
	for i := range 10_000 {
		c.Append(5*hour+int64(i)*1000, 1)
	}
	ends := cut(&c)
	require.Equal(t, []int{3600, 7200, 10000}, ends, "at full hours")
	short := model.Columns{T: c.T[:4096], V: c.V[:4096]}
	require.Equal(t, []int{4096}, cut(&short))
	// A series that lacks a few samples is cut at the same times, so that the rest shares its runs.
	gap := model.Columns{T: append(append([]int64{}, c.T[:5000]...), c.T[5100:]...), V: c.V[100:]}
	require.Equal(t, []int{3600, 7100, 9900}, cut(&gap))
	// All in one millisecond of each day's worth of nothing: the ladder ends, the cap holds.
	rapid.Check(t, func(t *rapid.T) {
		var c model.Columns
		at := rapid.Int64Range(-1e12, 1e12).Draw(t, "start")
		for range rapid.IntRange(1, 30000).Draw(t, "n") / 100 {
			step := rapid.Int64Range(1, 3).Draw(t, "step")
			for range 100 {
				at += step
				c.Append(at, 0)
			}
		}
		if c.Len() == 0 {
			return
		}
		ends := cut(&c)
		from := 0
		for _, to := range ends {
			require.True(t, to > from && to-from <= chunkMax)
			from = to
		}
		require.Equal(t, c.Len(), from)
	})
	big := model.Columns{T: c.T[:100], V: c.V[:100], H: make([][]byte, 100)}
	for i := range big.H {
		big.H[i] = make([]byte, 10<<10)
	}
	require.Equal(t, []int{13, 26, 39, 52, 65, 78, 91, 100}, cut(&big), "histograms bound a chunk by bytes")
}

func FuzzChunkPage(f *testing.F) {
	p := chunkPage{}
	p.find([]int64{1, 2, 3})
	p.chunks = append(p.chunks, "chunk"...)
	p.endChunk()
	f.Add(p.append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParseChunkPage(raw)
		if err != nil {
			if !errors.Is(err, model.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		n := 0
		for i := range p.runEnds {
			b, err := p.Run(i)
			require.NoError(t, err)
			n += len(b)
		}
		for i := range p.chunkEnds {
			b, err := p.Chunk(i)
			require.NoError(t, err)
			n += len(b)
		}
		require.Equal(t, len(p.body), n)
		_, err = p.Chunk(len(p.chunkEnds))
		require.ErrorIs(t, err, model.ErrCorrupt)
		_, err = p.Run(-1)
		require.ErrorIs(t, err, model.ErrCorrupt)
	})
}

// FuzzLocate puts any prefix and locator into a series page.
func FuzzLocate(f *testing.F) {
	prefix := binary.AppendUvarint(nil, 8)
	prefix = append(prefix, 2, 100, 100)
	f.Add(prefix, []byte{1, 0}, []byte{2, 2, 5, 1, 1})
	f.Fuzz(func(t *testing.T, prefix, first, second []byte) {
		enc := page.NewEncoder()
		defer enc.Close()
		b := index.NewBuilder(enc)
		require.NoError(t, b.Add(labels.FromStrings("a", "1"), first))
		require.NoError(t, b.Add(labels.FromStrings("a", "2"), second))
		b.Cut(prefix, 8, 100)
		s, err := b.Finish(108)
		require.NoError(t, err)
		raw, _, err := page.Decode(nil, s.SeriesPages, page.Series)
		require.NoError(t, err)
		p, err := index.ParsePage(raw)
		require.NoError(t, err)
		chunks := Section{8, 1000}
		g, err := Locate(p, chunks)
		if err != nil {
			if !errors.Is(err, model.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		for _, r := range g.Pages {
			require.True(t, r.Offset >= 8 && r.Offset+r.Length <= 1008)
		}
		for i := range 2 {
			for _, c := range g.Of(i) {
				require.Less(t, int(c.Page), len(g.Pages))
				require.True(t, c.Run >= 0 && c.Chunk >= 0 && c.MinT <= c.MaxT)
			}
		}
	})
}
