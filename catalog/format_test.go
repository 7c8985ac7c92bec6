package catalog

import (
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// fullPartition uses every field.
func fullPartition() *Partition {
	m := meta("id1", "w", 3)
	m.Replaces, m.Tombstones = []string{"r1", "r2"}, []string{"x0"}
	m.Directory = []blocks.DirEntry{{FirstMetric: "up"}}
	return &Partition{
		Tenant: "t", Day: testDay, Head: Head{Generation: 40, Trail: []Nonce{1, 2, 1 << 63}},
		Blocks:       []Entry{{Meta: m, Order: 7, AddedMs: 1_700_000_000_001}, {Meta: meta("id2", "v", 0), Order: 8}},
		Flushed:      map[string]uint64{"w": 3, "backfill-1": 0, "v": 1 << 60},
		Claims:       []Claim{{Job: "merge 1", Holder: "h", UntilMs: 99}},
		Tombstones:   []Tombstone{{ID: "x1", Order: 6, CreatedMs: 5, Range: model.TimeRange{MinMs: -5, MaxMs: 5}, Matchers: `{job="a"}`}},
		Retired:      []Retired{{ID: "r1", Format: blocks.Native, Size: 100, AtMs: 6, By: []string{"id1"}}, {ID: "r3", Format: blocks.Parquet}},
		Quarantined:  []Quarantined{{ID: "id2", AtMs: 7, Reason: "does not decode"}},
		Dropped:      []Dropped{{ID: "gone", AtMs: 8}},
		GravestoneMs: 12,
	}
}

// fullRolled uses every field of version 2.
func fullRolled() *Partition {
	p := fullPartition()
	p.Thinned = true
	p.Blocks[0].Rolled = true
	p.Tombstones = append(p.Tombstones, Tombstone{ID: "x2", Order: 9, Matchers: "{}", Scope: ScopeRaw}, Tombstone{ID: "x3", Matchers: "{}", Scope: ScopeRollups})
	for _, f := range []blocks.Format{blocks.Rollup5m, blocks.Rollup1h} {
		m := meta(fmt.Sprintf("roll%d", f), "", 0)
		m.Format = f
		m.Replaces = []string{"roll0"}
		m.Sources = []blocks.Source{{Writer: "w", From: 1, To: 3}}
		p.Rollups = append(p.Rollups, Entry{Meta: m, Order: 7, AddedMs: 13})
	}
	return p
}

func fullRoot() *Root {
	return &Root{
		Tenant: "t", Head: Head{Generation: 2, Trail: []Nonce{5, 6}}, Days: []model.Day{-719162, 0, 19676, 19677},
		Settings: map[string]string{"retention": "30d", "a": ""}, Snapshots: []SnapshotRef{{Name: "s", ID: 1 << 63, CreatedMs: 4, Complete: true}, {Name: "u"}},
		GravestoneMs: 9,
	}
}

func fullRoster() *Roster {
	return &Roster{Head: Head{Generation: 1, Trail: []Nonce{5}}, Writers: []Writer{
		{ID: "a", Address: "10.0.0.1:9009", Mode: "fsync", Shipping: true, Released: 12, State: Active, StartedMs: 1_700_000_000_000},
		{ID: "b", Mode: "object", State: Adopted},
	}}
}

// TestGolden reads the files of every released version, and checks that today's writer still writes the payload of its own version.
// A change that breaks it needs a new format version and new files beside the old ones.
func TestGolden(t *testing.T) {
	c := newCodec()
	for _, g := range []struct {
		file   string
		want   storable
		decode func(d *decoder) storable
	}{
		{"partition.v1", fullPartition(), func(d *decoder) storable { return d.partition("t", testDay) }},
		{"partition.v2", fullRolled(), func(d *decoder) storable { return d.partition("t", testDay) }},
		{"root.v1", fullRoot(), func(d *decoder) storable { return d.root("t") }},
		{"roster.v1", fullRoster(), func(d *decoder) storable { return d.roster() }},
	} {
		path := filepath.Join("testdata", g.file)
		if *rewrite {
			data, err := c.seal(g.want)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, data, 0o644))
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		d, err := c.open(data, g.want.kind())
		require.NoError(t, err)
		payload := slices.Clone(d.b)
		got := g.decode(d)
		require.NoError(t, d.finish())
		require.Equal(t, g.want, got)
		require.Equal(t, payload, g.want.appendPayload(appendHead(nil, g.want.head())), g.file)

		for i := range data {
			bad := slices.Clone(data)
			bad[i] ^= 0x10
			_, err := c.open(bad, g.want.kind())
			require.ErrorIs(t, err, model.ErrCorrupt, "byte %d", i)
			_, err = c.open(data[:i], g.want.kind())
			require.ErrorIs(t, err, model.ErrCorrupt, "cut at %d", i)
		}
		_, err = c.open(data, "VVxx")
		require.ErrorIs(t, err, model.ErrCorrupt)
		newest := newestVersion(g.want.kind())
		for _, version := range []byte{0, newest + 1} {
			_, err = c.open(resum(data, func(b []byte) { b[4] = version }), g.want.kind())
			require.ErrorIs(t, err, model.ErrVersion)
			require.ErrorContains(t, err, fmt.Sprintf("format version %d, this program reads %d", version, newest))
		}
		_, err = c.open(resum(data, func(b []byte) { binary.LittleEndian.PutUint32(b[5:], 1<<31) }), g.want.kind())
		require.ErrorIs(t, err, model.ErrCorrupt)
		_, err = c.open(resum(data, func(b []byte) { b[5]++ }), g.want.kind())
		require.ErrorIs(t, err, model.ErrCorrupt)
	}
}

// resum changes an object and makes its checksum right again.
func resum(data []byte, change func([]byte)) []byte {
	b := slices.Clone(data)
	change(b)
	body := b[:len(b)-4]
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func TestObjectUnderAnotherKey(t *testing.T) {
	c := newCodec()
	data, err := c.seal(fullPartition())
	require.NoError(t, err)
	for _, read := range []func(d *decoder){
		func(d *decoder) { d.partition("u", testDay) },
		func(d *decoder) { d.partition("t", testDay+1) },
	} {
		d, err := c.open(data, kindPartition)
		require.NoError(t, err)
		read(d)
		require.ErrorIs(t, d.finish(), model.ErrCorrupt)
	}
}

// TestVersions: a partition is written in the second version when it has something to say there, and only then.
func TestVersions(t *testing.T) {
	for name, change := range map[string]func(p *Partition){
		"thinned": func(p *Partition) { p.Thinned = true },
		"rolled":  func(p *Partition) { p.Blocks[1].Rolled = true },
		"rollups": func(p *Partition) { p.Rollups = fullRolled().Rollups },
		"scope":   func(p *Partition) { p.Tombstones[0].Scope = ScopeRollups },
		"nothing": func(*Partition) {},
	} {
		p := fullPartition()
		change(p)
		data, err := newCodec().seal(p)
		require.NoError(t, err)
		require.Equal(t, name != "nothing", data[4] == 2, name)
		d, err := newCodec().open(data, kindPartition)
		require.NoError(t, err)
		require.Equal(t, p, d.partition("t", testDay), name)
		require.NoError(t, d.finish())
	}
}

// TestWrongList: a rollup among the raw blocks would be answered as if its rows were samples.
func TestWrongList(t *testing.T) {
	for _, p := range []*Partition{
		{Tenant: "t", Day: testDay, Head: fullRolled().Head, Blocks: fullRolled().Rollups},
		{Tenant: "t", Day: testDay, Head: fullRolled().Head, Rollups: fullPartition().Blocks},
	} {
		data, err := newCodec().seal(p)
		require.NoError(t, err)
		d, err := newCodec().open(data, kindPartition)
		require.NoError(t, err)
		d.partition("t", testDay)
		require.ErrorIs(t, d.finish(), model.ErrCorrupt)
	}
}

// FuzzDecode decodes hostile payloads and bounds what that allocates; what decodes is the same after a round trip.
func FuzzDecode(f *testing.F) {
	for _, st := range []storable{fullPartition(), fullRolled(), fullRoot(), fullRoster()} {
		f.Add(st.appendPayload(appendHead(nil, st.head())))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, decode := range []func(d *decoder) storable{
			func(d *decoder) storable { return d.partition("t", testDay) },
			func(d *decoder) storable {
				d.version = versionRollups
				return d.partition("t", testDay)
			},
			func(d *decoder) storable { return d.root("t") },
			func(d *decoder) storable { return d.roster() },
		} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d := &decoder{b: payload}
			st := decode(d)
			runtime.ReadMemStats(&after)
			if got, most := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+400*len(payload)); got > most {
				t.Fatalf("%d bytes of payload allocated %d", len(payload), got)
			}
			if d.finish() != nil {
				continue
			}
			once := st.appendPayload(appendHead(nil, st.head()))
			if p, ok := st.(*Partition); ok && d.version == versionRollups && p.version() == versionFirst {
				continue // written by nobody: it says nothing that the first version could not
			}
			again := decode(&decoder{b: once})
			require.Equal(t, st, again)
		}
	})
}

// FuzzOpen opens hostile objects whose checksum is right.
func FuzzOpen(f *testing.F) {
	c := newCodec()
	data, err := c.seal(fullRoot())
	require.NoError(f, err)
	f.Add(data)
	f.Add(append([]byte("VVcr\x01\xff\xff\xff\x00"), data[envelopeHead:]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < envelopeHead+envelopeTail {
			return
		}
		d, err := c.open(resum(data, func(b []byte) { copy(b, "VVcr\x01") }), kindRoot)
		if err == nil {
			d.root("t")
			_ = d.finish()
		}
	})
}
