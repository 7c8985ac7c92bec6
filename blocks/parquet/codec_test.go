package parquet

import (
	"bytes"
	"errors"
	"hash/crc32"
	"math"
	"math/rand"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/decimal"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// TestDelta holds that both forms of our delta pages are read by us and by others, and that we read those of others.
func TestDelta(t *testing.T) {
	theirs := &delta.BinaryPackedEncoding{}
	rapid.Check(t, func(t *rapid.T) {
		m := drawNumbers(t)
		for _, whole := range []bool{false, true} {
			b := appendDelta([]byte("x"), m, whole)[1:]
			got, err := decodeDelta(nil, b, len(m))
			require.NoError(t, err)
			require.Equal(t, m, got)
			got, err = theirs.DecodeInt64(nil, b)
			require.NoError(t, err)
			require.Equal(t, m, got)
			require.LessOrEqual(t, len(b), deltaLimit(len(m)))
			_, err = decodeDelta(nil, b, len(m)+1)
			require.ErrorIs(t, err, model.ErrCorrupt)
			_, err = decodeDelta(nil, append(b, 0), len(m))
			require.ErrorIs(t, err, model.ErrCorrupt)
			_, err = decodeDelta(nil, b[:len(b)-1], len(m))
			require.ErrorIs(t, err, model.ErrCorrupt)
		}
		b, err := theirs.EncodeInt64(nil, m)
		require.NoError(t, err)
		got, err := decodeDelta(nil, b, len(m))
		require.NoError(t, err)
		require.Equal(t, m, got)
	})
}

func drawNumbers(t *rapid.T) []int64 {
	v := rapid.Int64().Draw(t, "first")
	width := rapid.IntRange(0, 64).Draw(t, "bits")
	r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
	m := make([]int64, rapid.IntRange(1, 500).Draw(t, "n"))
	for i := range m {
		m[i] = v
		switch {
		case i%40 == 39:
			v = int64(r.Uint64())
		case width > 0:
			v += int64(r.Uint64() >> (64 - width))
		}
	}
	return m
}

// TestDeltaOfEqualSteps: a stretch that repeats takes the same bytes again, whatever came before.
func TestDeltaOfEqualSteps(t *testing.T) {
	var m []int64
	for range 4 {
		for i := range int64(128 * 5) {
			m = append(m, i*15000+i*i%7)
		}
	}
	b := appendDelta(nil, m, true)
	require.Less(t, len(b), len(m)+20*10+3*8*deltaMini, "a byte a number and the heads of blocks, and a wide miniblock where it starts again")
}

func TestRuns(t *testing.T) {
	scales := Samples.scales()
	theirs := &rle.DictionaryEncoding{}
	rapid.Check(t, func(t *rapid.T) {
		var r runs
		var want []int8
		for range rapid.IntRange(1, 20).Draw(t, "runs") {
			id, rows := rapid.Uint32Range(0, uint32(scales)-1).Draw(t, "id"), rapid.IntRange(0, 300).Draw(t, "rows")
			r.add(id, rows)
			for range rows {
				want = append(want, int8(id)-1)
			}
		}
		if len(want) == 0 {
			return
		}
		b := r.append(nil, scales)
		got, err := decodeRuns(nil, b, len(want), scales, -1)
		require.NoError(t, err)
		require.Equal(t, want, got)
		other, err := theirs.DecodeInt32(nil, b)
		require.NoError(t, err)
		for i := range want {
			require.EqualValues(t, want[i]+1, other[i])
		}
		_, err = decodeRuns(nil, b, len(want)+1, scales, -1)
		require.ErrorIs(t, err, model.ErrCorrupt)
		_, err = decodeRuns(nil, b, len(want)-1, scales, -1)
		require.ErrorIs(t, err, model.ErrCorrupt)
	})
}

// TestPageHead compares our heads with those that a thrift encoder makes.
func TestPageHead(t *testing.T) {
	for _, h := range []pageHead{
		{encoding: encDelta, values: 1, raw: 20, stored: 15, crc: 1},
		{encoding: encDictionary, values: 1 << 20, raw: 8 << 20, stored: 3 << 20, crc: 0xffffffff},
		{dictionary: true, encoding: encPlain, values: 17, raw: 68, stored: 40, crc: 0x80000000},
	} {
		want := format.PageHeader{UncompressedPageSize: int32(h.raw), CompressedPageSize: int32(h.stored), CRC: int32(h.crc)}
		if h.dictionary {
			want.Type = format.DictionaryPage
			want.DictionaryPageHeader = thrift.New(format.DictionaryPageHeader{NumValues: int32(h.values), Encoding: format.Encoding(h.encoding)})
		} else {
			want.DataPageHeader = thrift.New(format.DataPageHeader{
				NumValues: int32(h.values), Encoding: format.Encoding(h.encoding), DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
			})
		}
		got := format.PageHeader{}
		b := appendHead(nil, &h)
		require.LessOrEqual(t, len(b), maxHead)
		require.NoError(t, thrift.Unmarshal(new(thrift.CompactProtocol), b, &got))
		require.Equal(t, want, got)
	}
}

func TestScale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 100).Draw(t, "n")
		v := make([]float64, n)
		for i := range v {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				v[i] = math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
			case 1:
				v[i] = rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1 << 53, -1 << 53, 1<<53 + 2, 1e15, 1e-15, 0.1, math.Inf(1), math.NaN()}).Draw(t, "v")
			default:
				v[i] = float64(rapid.Int64Range(-1e9, 1e9).Draw(t, "m")) / decimal.Pow10(rapid.IntRange(0, decimal.MaxScale).Draw(t, "k"))
			}
		}
		m := make([]int64, n)
		k, misfits := scaleAll(m, v, nil)
		if k < 0 {
			require.Equal(t, make([]int64, n), m)
			return
		}
		back := unscale(nil, m, int8(k))
		for _, i := range misfits {
			back[i] = v[i]
		}
		for i := range v {
			require.Equal(t, math.Float64bits(v[i]), math.Float64bits(back[i]), "%v at %d with scale %d", v[i], i, k)
		}
	})
}

// forgePage puts a right head around any content.
func forgePage(enc encoding, values int, raw []byte) []byte {
	z := page.NewEncoder()
	defer z.Close()
	var scratch []byte
	b, _ := appendPage(nil, z, pageHead{encoding: enc, values: values}, raw, &scratch)
	return b
}

func TestPageFaults(t *testing.T) {
	raw := bytes.Repeat([]byte("content"), 100)
	b := forgePage(encPlain, 100, raw)
	got, err := openPage(nil, b, encPlain, 100, len(raw))
	require.NoError(t, err)
	require.Equal(t, raw, got)
	for i := range len(b) * 8 {
		b[i/8] ^= 1 << (i % 8)
		_, err := openPage(nil, b, encPlain, 100, len(raw))
		require.ErrorIs(t, err, model.ErrCorrupt, "bit %d", i)
		b[i/8] ^= 1 << (i % 8)
	}
	for i := range b {
		_, err := openPage(nil, b[:i], encPlain, 100, len(raw))
		require.ErrorIs(t, err, model.ErrCorrupt)
	}
	for name, err := range map[string]error{
		"encoding":  second(openPage(nil, b, encDelta, 100, len(raw))),
		"values":    second(openPage(nil, b, encPlain, 101, len(raw))),
		"too large": second(openPage(nil, b, encPlain, 100, len(raw)-1)),
		"longer":    second(openPage(nil, append(b, 0), encPlain, 100, len(raw))),
	} {
		require.ErrorIs(t, err, model.ErrCorrupt, name)
	}
	// A frame that says more than it may hold.
	bomb := forgePage(encPlain, 100, make([]byte, 8<<20))
	h := pageHead{encoding: encPlain, values: 100, raw: 700, stored: len(bomb)}
	body := bomb[len(bomb)-300:]
	h.stored, h.crc = len(body), crc32.ChecksumIEEE(body)
	_, err = openPage(nil, append(appendHead(nil, &h), body...), encPlain, 100, len(raw))
	require.ErrorIs(t, err, model.ErrCorrupt)
}

func second(_ []byte, err error) error { return err }

// FuzzStripe decodes a stripe of which one page has any content under a right head and checksum.
func FuzzStripe(f *testing.F) {
	z := page.NewEncoder()
	g := newGroup(&coder{z: z}, Samples)
	in := mixed(4, 1, 40)[3]
	g.add(&model.Rollup{T: in.c.T, V: [model.Aggregates][]float64{in.c.V}, H: in.c.H}, 0, len(in.c.T))
	g.closeStripe()
	s := Stripe{Rows: 40, flags: 1, extras: true, pages: make([]PageRef, storedColumns)}
	var pages [storedColumns][]byte
	for i := range pages {
		at := g.stripes[0].at[i]
		pages[i] = g.chunks[colTs+i].pages[at : at+g.stripes[0].length[i]]
		raw, err := openPage(nil, pages[i], stripeEncodings()[i], s.Rows, 1<<20)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), raw)
	}
	f.Fuzz(func(t *testing.T, column uint8, raw []byte) {
		i := column % storedColumns
		if len(raw) == 0 {
			return
		}
		pages := pages
		pages[i] = forgePage(stripeEncodings()[i], s.Rows, raw)
		var r Rows
		if _, err := s.Decode(&r, 0, pages[:]); err != nil {
			if !errors.Is(err, model.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		var c model.Columns
		r.Append(&c, 0, s.Rows)
		if len(c.T) != s.Rows || len(c.V) != s.Rows || c.H != nil && len(c.H) != s.Rows {
			t.Fatalf("%d, %d, %d of %d rows", len(c.T), len(c.V), len(c.H), s.Rows)
		}
	})
}

// storedColumns of samples.
const storedColumns = 7

func stripeEncodings() [storedColumns]encoding {
	return [...]encoding{encDelta, encDictionary, encDelta, encPlain, encDictionary, encDelta, encPlain}
}

// FuzzLocate puts any prefix and locators into a series page.
func FuzzLocate(f *testing.F) {
	in := mixed(2, 2, 100)
	b, l := write(f, in)
	raw, _, err := page.Decode(nil, b[l.SeriesPages.Offset:], page.Series)
	if err != nil {
		f.Fatal(err)
	}
	p, err := index.ParsePage(raw)
	if err != nil {
		f.Fatal(err)
	}
	var locators [][]byte
	_ = p.Locators(func(b []byte) error {
		locators = append(locators, b)
		return nil
	})
	f.Add(p.Prefix, locators[0], locators[1])
	f.Add(p.Prefix, []byte{1, 5}, []byte{3, 1, 1})
	f.Fuzz(func(t *testing.T, prefix, first, second []byte) {
		located(t, in[0].labels, in[1].labels, prefix, first, second, Samples)
	})
}

// located makes a series page of two series with the prefix and the locators, and checks what Locate makes of it.
func located(t *testing.T, one, other labels.Labels, prefix, first, second []byte, kind Kind) {
	z := page.NewEncoder()
	defer z.Close()
	idx := index.NewBuilder(z)
	if idx.Add(one, first) != nil || idx.Add(other, second) != nil {
		t.Skip()
	}
	idx.Cut(prefix, 4, 100)
	s, err := idx.Finish(1000)
	if err != nil {
		t.Skip()
	}
	raw, _, err := page.Decode(nil, s.SeriesPages, page.Series)
	if err != nil {
		t.Fatal(err)
	}
	p, err := index.ParsePage(raw)
	if err != nil {
		t.Fatal(err)
	}
	rows := Section{4, 1 << 20}
	g, err := Locate(p, rows, kind)
	if err != nil {
		if !errors.Is(err, model.ErrCorrupt) {
			t.Fatal(err)
		}
		return
	}
	for w := range Windows {
		have := 0
		for i := range g.Stripes[w] {
			st := &g.Stripes[w][i]
			have += st.Rows
			for a := range model.Aggregates {
				for _, ref := range st.Needed(a) {
					if ref.Offset < rows.Offset || ref.Length < 0 || ref.Offset+ref.Length > rows.Offset+rows.Length {
						t.Fatalf("page at %d of %d bytes", ref.Offset, ref.Length)
					}
				}
			}
		}
		for i := range p.Series {
			if from, to := g.Rows(i, w); from > to || to > have {
				t.Fatalf("rows %d to %d of %d", from, to, have)
			}
		}
	}
}
