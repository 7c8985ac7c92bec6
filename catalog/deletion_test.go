package catalog

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

// fullDeletion uses every field.
func fullDeletion() *Deletion {
	return &Deletion{
		Tenant: "t", ID: "x1", CreatedMs: 1_700_000_000_000, Range: model.TimeRange{MinMs: -5, MaxMs: 1 << 60},
		Matchers: "{job=\"a\"}\n{__name__=\"up\",i!~\"x.*\"}", Unreached: []string{"v", "w"},
		Days: []DeletionDay{{Day: -719162, Flushed: map[string]uint64{}}, {Day: 0, Flushed: map[string]uint64{"w": 3, "v": 1 << 60}}, {Day: 19676, Flushed: map[string]uint64{"w": 4}}},
	}
}

// fullRepeat uses every field of version 2.
func fullRepeat() *Deletion {
	d := fullDeletion()
	d.Of, d.Known = "x0", []string{"u", "v", "w"}
	for i := range d.Days {
		d.Days[i].Since = map[string]uint64{}
	}
	d.Days[1].Since = map[string]uint64{"u": 7, "w": 2}
	return d
}

func TestDeletionGolden(t *testing.T) {
	testDeletionGolden(t, "deletion.v1", fullDeletion())
	testDeletionGolden(t, "deletion.v2", fullRepeat())
}

func testDeletionGolden(t *testing.T, name string, want *Deletion) {
	c, path := newCodec(), filepath.Join("testdata", name)
	if *rewrite {
		data, err := c.sealVersion(kindDeletion, want.version(), want.appendPayload(nil))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, 0o644))
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	d, err := c.open(data, kindDeletion)
	require.NoError(t, err)
	payload := slices.Clone(d.b)
	got := d.deletion("t", "x1")
	require.NoError(t, d.finish())
	require.Equal(t, want, got)
	require.Equal(t, payload, got.appendPayload(nil))
	for _, key := range [][2]string{{"u", "x1"}, {"t", "x2"}} {
		d, err := c.open(data, kindDeletion)
		require.NoError(t, err)
		d.deletion(key[0], key[1])
		require.ErrorIs(t, d.finish(), model.ErrCorrupt, "under another key")
	}
	for i := range data {
		bad := slices.Clone(data)
		bad[i] ^= 0x10
		_, err := c.open(bad, kindDeletion)
		require.ErrorIs(t, err, model.ErrCorrupt, "byte %d", i)
		_, err = c.open(data[:i], kindDeletion)
		require.ErrorIs(t, err, model.ErrCorrupt, "cut at %d", i)
	}
	_, err = c.open(resum(data, func(b []byte) { b[4] = 9 }), kindDeletion)
	require.ErrorIs(t, err, model.ErrVersion)
}

// FuzzDeletion decodes hostile payloads and bounds what that allocates; what decodes is the same after a round trip.
func FuzzDeletion(f *testing.F) {
	f.Add(fullDeletion().appendPayload(nil), byte(versionFirst))
	f.Add(fullRepeat().appendPayload(nil), byte(versionRepeats))
	f.Fuzz(func(t *testing.T, payload []byte, version byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := &decoder{b: payload, version: version}
		got := d.deletion("t", "x1")
		runtime.ReadMemStats(&after)
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+400*len(payload)); used > most {
			t.Fatalf("%d bytes of payload allocated %d", len(payload), used)
		}
		if d.finish() != nil {
			return
		}
		require.Equal(t, got, (&decoder{b: got.appendPayload(nil), version: got.version()}).deletion("t", "x1"))
	})
}

func TestDeletionIsCreatedOnce(t *testing.T) {
	ctx := context.Background()
	s, _ := newStore(mem.New(), 1)
	_, err := s.Deletion(ctx, "t", "x1")
	require.ErrorIs(t, err, model.ErrNotFound)
	first, err := s.CreateDeletion(ctx, fullDeletion())
	require.NoError(t, err)
	second := fullDeletion()
	second.Unreached = nil
	got, err := s.CreateDeletion(ctx, second)
	require.NoError(t, err)
	require.Equal(t, first, got, "the first one stays")
	require.True(t, got.Same(second))
	second.Range.MinMs++
	require.False(t, got.Same(second))
	require.Equal(t, uint64(4), got.DayOf(19676).Flushed["w"])
	require.Nil(t, got.DayOf(1))
	bad := fullDeletion()
	bad.ID = "../x"
	_, err = s.CreateDeletion(ctx, bad)
	require.ErrorIs(t, err, model.ErrInvalid)
}

func TestSelectors(t *testing.T) {
	for _, text := range []string{`{a="b"}`, `up`, `up{a=~"x|y",b!="\n"}`, `{"with.dot"="ü"}`, `{__name__="a:b","c:d"!~"\"\\."}`} {
		parsed, err := ParseSelectors(text)
		require.NoError(t, err, text)
		again, err := ParseSelectors(FormatSelectors(append(parsed, parsed[0])))
		require.NoError(t, err, text)
		require.Len(t, again, 2)
		require.Equal(t, FormatSelectors(parsed), FormatSelectors(again[:1]))
		require.Equal(t, FormatSelectors(parsed), FormatSelectors(again[1:]))
	}
	for _, text := range []string{"", `{a="b"`, `{a=~"("}`, "up[5m]", "up\n"} {
		_, err := ParseSelectors(text)
		require.ErrorIs(t, err, model.ErrInvalid, text)
	}
}

// FuzzSelectors: what Prometheus' parser reads as a selector means the same after being written and read.
func FuzzSelectors(f *testing.F) {
	f.Add(`{a="b",c=~"d\n"}`)
	f.Fuzz(func(t *testing.T, text string) {
		matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(text)
		if err != nil {
			return
		}
		again, err := ParseSelectors(FormatSelectors([][]*labels.Matcher{matchers}))
		require.NoError(t, err)
		require.Len(t, again, 1)
		require.Len(t, again[0], len(matchers))
		for i, m := range matchers {
			require.Equal(t, [3]any{m.Name, m.Type, m.Value}, [3]any{again[0][i].Name, again[0][i].Type, again[0][i].Value})
		}
	})
}
