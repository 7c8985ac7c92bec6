package wal

import (
	"encoding/binary"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenSegment is a segment with every kind of operation and form.
func goldenSegment(t testing.TB) []byte {
	t.Helper()
	l := open(t, memfs.New())
	require.NoError(t, put(l, "before", 1))
	require.NoError(t, l.Cut(t.Context()))
	require.NoError(t, l.Append(func(e *Encoder) {
		e.Begin("default")
		e.Define(0, labels.FromStrings("__name__", "up", "instance", "host:9100"))
		e.Define(1, labels.FromStrings("__name__", "up", "instance", "höst:9100"))
		e.Sample(0, 1_700_000_000_000, 1)
		e.Sample(1, 1_700_000_000_000, 0)
		e.Sample(1, 1_700_000_015_000, 0.1)
		e.Sample(0, -5, 12345)
		e.Begin("other")
		e.Define(2, labels.EmptyLabels())
		e.Histogram(2, 7, []byte("opaque"))
	}))
	require.NoError(t, put(l, "default", 9))
	require.NoError(t, l.EndGeneration())
	b, err := l.ReadSegment(1, 1)
	require.NoError(t, err)
	return b
}

func TestGolden(t *testing.T) {
	for name, b := range map[string][]byte{"segment-v1.wal": goldenSegment(t), "fence-v1.wal": FenceSegment("dead", 3, 4, "heir")} {
		file := filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.WriteFile(file, b, 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, want, b, "%s: the format has changed; it needs a new version", name)
		_, err = ParseSegment(want, nil)
		require.NoError(t, err)
	}
}

// wrap makes a segment whose only item has the payload.
func wrap(typ byte, payload []byte) []byte {
	b := appendHeader(nil, &header{writer: testWriter, generation: 1})
	crc, at := le.Uint32(b[len(b)-4:]), len(b)
	b = append(b, make([]byte, itemHeader)...)
	b = append(b, payload...)
	putItem(b[at:], item{typ: typ}, payload, crc, int64(at))
	return b
}

// readAll decodes everything and checks that no call gets more than the bound.
func readAll(t *testing.T, s *Segment) {
	t.Helper()
	tenants, total := map[string]int{}, 0
	err := s.Records("", func(r Record) error {
		if len(r.Samples) > maxSamples+1 || len(r.Defs) > maxDefs+1 || len(r.Histograms) > maxHistograms+1 {
			t.Fatalf("a call with %d samples, %d definitions, %d histograms", len(r.Samples), len(r.Defs), len(r.Histograms))
		}
		n := len(r.Samples) + len(r.Defs) + len(r.Histograms)
		tenants[r.Tenant] += n
		total += n
		return nil
	})
	if err != nil {
		if !errors.Is(err, model.ErrCorrupt) {
			t.Fatal(err)
		}
		return
	}
	for tenant, want := range tenants {
		if tenant == "" || s.Closed {
			continue
		}
		got := 0
		if err := s.Records(tenant, func(r Record) error {
			got += len(r.Samples) + len(r.Defs) + len(r.Histograms)
			return nil
		}); err != nil || got != want {
			t.Fatalf("tenant %q: %d of %d, %v", tenant, got, want, err)
		}
	}
}

func FuzzParseSegment(f *testing.F) {
	f.Add(goldenSegment(f))
	f.Add(FenceSegment("dead", 3, 4, "heir"))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSegment(b, nil)
		if err != nil {
			if !errors.Is(err, model.ErrCorrupt) && !errors.Is(err, model.ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		readAll(t, s)
	})
}

// FuzzRecords gives rubbish with a right checksum to the record decoder.
func FuzzRecords(f *testing.F) {
	g := goldenSegment(f)
	s, err := ParseSegment(g, nil)
	require.NoError(f, err)
	for _, r := range s.groups {
		f.Add(g[r.from:r.to])
	}
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Add([]byte{3, 0, 0, 0, 1, 'a', opDefinition, 1, 255})
	f.Add([]byte{11, 0, 0, 0, 1, 'a', refVarint | 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 {
			return
		}
		s, err := ParseSegment(wrap(typeGroup, payload), nil)
		if err != nil {
			t.Fatal(err)
		}
		readAll(t, s)
	})
}

// FuzzIndex gives rubbish with a right checksum to the index parser.
func FuzzIndex(f *testing.F) {
	x := index{}
	x.add([]recordSpan{{"a", 0, 10}, {"b", 10, 5}, {"a", 15, 1}}, 20)
	at := int64(headerLength(testWriter, ""))
	f.Add(x.append(nil, at))
	f.Add((&index{}).append(nil, at))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 {
			return
		}
		s, err := ParseSegment(wrap(typeClose, payload), nil)
		if err != nil {
			if !errors.Is(err, model.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		for tenant := range s.index {
			if err := s.Records(tenant, func(Record) error { return nil }); err != nil && !errors.Is(err, model.ErrCorrupt) {
				t.Fatal(err)
			}
		}
	})
}

func TestVarint(t *testing.T) {
	for shift := range 64 {
		for _, v := range []int64{1, -1, 3, -3, 0x5555555555555555, math.MinInt64, math.MaxInt64, 0} {
			v >>= shift
			b := binary.AppendVarint(nil, v)
			for _, tail := range [][]byte{nil, {0x80}, {255, 255, 255, 255, 255, 255, 255, 255}, make([]byte, 8)} {
				got, n := varint(append(slices.Clone(b), tail...))
				require.Equal(t, v, got)
				require.Equal(t, len(b), n)
			}
		}
	}
	_, n := varint([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	require.LessOrEqual(t, n, 0)
	_, n = varint(nil)
	require.LessOrEqual(t, n, 0)
}
