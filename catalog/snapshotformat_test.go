package catalog

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

var fullRef = SnapshotRef{Name: "weekly", ID: 0xfeed << 48, CreatedMs: 1_700_000_000_000, Complete: true}

// fullSnapshot is one of two days, the first as full as a day gets.
func fullSnapshot(t testing.TB) (*Snapshot, [][]byte) {
	first := fullPartition().forSnapshot()
	second := &Partition{Tenant: "t", Day: testDay + 3, Head: first.Head, Blocks: first.Blocks[1:], Flushed: map[string]uint64{}}
	var sections [][]byte
	for _, p := range []*Partition{first, second} {
		b, err := newCodec().seal(p)
		require.NoError(t, err)
		sections = append(sections, b)
	}
	return &Snapshot{
		Tenant: "t", Name: fullRef.Name, ID: fullRef.ID, CreatedMs: fullRef.CreatedMs, TakenMs: fullRef.CreatedMs + 5,
		Days: []SnapshotDay{{Day: testDay, Blocks: 2, Samples: 60, Bytes: 2000}, {Day: testDay + 3, Blocks: 1, Samples: 30, Bytes: 1000}},
	}, sections
}

// TestSnapshotGolden reads the file of every released version of a snapshot; see TestGolden.
func TestSnapshotGolden(t *testing.T) {
	c := newCodec()
	want, sections := fullSnapshot(t)
	path := filepath.Join("testdata", "snapshot.v1")
	made, err := c.sealSnapshot(want, sections)
	require.NoError(t, err)
	if *rewrite {
		require.NoError(t, os.WriteFile(path, made, 0o644))
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	head := func(data []byte) ([]byte, error) {
		n, err := headLength(data)
		if err != nil {
			return nil, err
		}
		if snapshotPrefix+n > int64(len(data)) {
			return nil, model.ErrCorrupt
		}
		return data[snapshotPrefix : snapshotPrefix+n], nil
	}
	read := func(data []byte) (*Snapshot, error) {
		h, err := head(data)
		if err != nil {
			return nil, err
		}
		return c.openSnapshot(h, "t", fullRef, int64(len(data)))
	}
	got, err := read(data)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for i, d := range got.Days {
		o, err := c.open(data[d.offset:d.offset+d.length], kindPartition)
		require.NoError(t, err)
		p := o.partition("t", d.Day)
		require.NoError(t, o.finish())
		require.Equal(t, []int{2, 1}[i], len(p.Blocks))
	}
	h, err := head(data)
	require.NoError(t, err)
	d, err := c.open(h, kindSnapshot)
	require.NoError(t, err)
	require.Equal(t, d.b, want.appendPayload(nil))

	for i := range got.Days[0].offset {
		bad := slices.Clone(data)
		bad[i] ^= 0x10
		_, err := read(bad)
		require.Error(t, err, "byte %d", i)
	}
	for i := range data {
		_, err := read(data[:i])
		require.ErrorIs(t, err, model.ErrCorrupt, "cut at %d", i)
	}
	later := slices.Clone(data)
	later[4] = 2
	_, err = read(later)
	require.ErrorIs(t, err, model.ErrVersion)
	long := slices.Clone(data)
	binary.LittleEndian.PutUint32(long[5:], 1<<31)
	_, err = read(long)
	require.ErrorIs(t, err, model.ErrCorrupt)
	for _, ref := range []SnapshotRef{{Name: "weekly", ID: 1}, {Name: "other", ID: fullRef.ID}} {
		_, err := c.openSnapshot(h, "t", ref, int64(len(data)))
		require.ErrorIs(t, err, model.ErrCorrupt)
	}
}

func TestSnapshotKeys(t *testing.T) {
	key := SnapshotKey("t", SnapshotRef{Name: "a-b_C", ID: 0xab})
	require.Equal(t, "t/t/s/a-b_C.00000000000000ab", key)
	tenantName, ref, ok := ParseSnapshotKey(key)
	require.True(t, ok)
	require.Equal(t, "t", tenantName)
	require.Equal(t, SnapshotRef{Name: "a-b_C", ID: 0xab}, ref)
	for _, bad := range []string{"", "t/t/s/a", "t/t/s/a.ab", "t/t/c/a.00000000000000ab", "t/../s/a.00000000000000ab", "t/t/s/.00000000000000ab", "t/t/s/a.00000000000000ab.x", "t/t/s/a.00000000000000AB"} {
		_, _, ok := ParseSnapshotKey(bad)
		require.False(t, ok, bad)
	}
	for _, bad := range []string{"", "a b", "../x", "a.b", string(make([]byte, 65))} {
		require.ErrorIs(t, CheckSnapshotName(bad), model.ErrInvalid)
	}
}

// FuzzSnapshot decodes hostile heads and bounds what that allocates.
func FuzzSnapshot(f *testing.F) {
	s, sections := fullSnapshot(f)
	_, err := newCodec().sealSnapshot(s, sections)
	require.NoError(f, err)
	f.Add(s.appendPayload(nil))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := &decoder{b: payload}
		got := d.snapshot("t", fullRef)
		runtime.ReadMemStats(&after)
		if n, most := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+100*len(payload)); n > most {
			t.Fatalf("%d bytes of payload allocated %d", len(payload), n)
		}
		if d.finish() != nil {
			return
		}
		again := (&decoder{b: got.appendPayload(nil)}).snapshot("t", fullRef)
		require.Equal(t, got, again)
	})
}
