package catalog

import (
	"encoding/binary"
	"fmt"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// decoder reads a payload. The first fault is kept and makes every further read return zero values, so that the decoding functions
// read like the format; finish reports it. What it allocates is bounded by the payload's length: a count is
// believed only as far as bytes are left for that many elements.
type decoder struct {
	b   []byte
	off int
	err error
	// version is that of the payload; 0 is the first.
	version byte
}

func (d *decoder) failf(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("payload offset %d: %s: %w", d.off, fmt.Sprintf(format, args...), model.ErrCorrupt)
	}
	d.off = len(d.b)
}

// finish returns the first fault; bytes behind the last field are one.
func (d *decoder) finish() error {
	if d.err == nil && d.off != len(d.b) {
		d.failf("%d bytes left over", len(d.b)-d.off)
	}
	return d.err
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b[d.off:])
	if n <= 0 {
		d.failf("bad uvarint")
		return 0
	}
	d.off += n
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b[d.off:])
	if n <= 0 {
		d.failf("bad varint")
		return 0
	}
	d.off += n
	return v
}

func (d *decoder) bool() bool {
	v := d.uvarint()
	if v > 1 {
		d.failf("%d is no boolean", v)
	}
	return v == 1
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.b)-d.off) {
		d.failf("string of %d bytes where %d are left", n, len(d.b)-d.off)
		return ""
	}
	s := string(d.b[d.off : d.off+int(n)])
	d.off += int(n)
	return s
}

// count reads the length of a list whose elements have at least minBytes bytes each.
func (d *decoder) count(minBytes int) int {
	n := d.uvarint()
	if n > uint64((len(d.b)-d.off)/minBytes) {
		d.failf("list of %d elements where %d bytes are left", n, len(d.b)-d.off)
		return 0
	}
	return int(n)
}

// list reads a list; an empty one is nil.
func list[T any](d *decoder, minBytes int, one func() T) []T {
	n := d.count(minBytes)
	if n == 0 {
		return nil
	}
	out := make([]T, 0, min(n, 4096))
	for range n {
		v := one()
		if d.err != nil {
			return nil
		}
		out = append(out, v)
	}
	return out
}

func (d *decoder) head() Head {
	h := Head{Generation: d.uvarint()}
	n := d.count(8)
	if d.err == nil && (n < 1 || n > TrailLength || uint64(n) > h.Generation) {
		d.failf("trail of %d nonces at generation %d", n, h.Generation)
		return h
	}
	for range n {
		h.Trail = append(h.Trail, Nonce(binary.LittleEndian.Uint64(d.b[d.off:])))
		d.off += 8
	}
	return h
}

// name checks that the object is that of its key.
func (d *decoder) name(want string) string {
	got := d.string()
	if d.err == nil && got != want {
		d.failf("object of tenant %.80q under the key of %q", got, want)
	}
	return got
}

func (d *decoder) partition(tenant string, day model.Day) *Partition {
	p := &Partition{Head: d.head(), Tenant: d.name(tenant), Day: model.Day(d.varint()), GravestoneMs: d.varint()}
	if d.err == nil && p.Day != day {
		d.failf("object of day %d under the key of %d", p.Day, day)
	}
	v2 := d.version >= versionRollups
	if v2 {
		p.Thinned = d.bool()
	}
	p.Blocks = list(d, 8, func() Entry { return d.entry(v2) })
	if v2 {
		p.Rollups = list(d, 8, func() Entry { return d.entry(false) })
	}
	d.checkFormats(p)
	p.Flushed = d.flushed()
	p.Claims = list(d, 3, func() Claim { return Claim{Job: d.string(), Holder: d.string(), UntilMs: d.varint()} })
	p.Tombstones = list(d, 6, func() Tombstone {
		t := Tombstone{
			ID: d.string(), Order: d.uvarint(), CreatedMs: d.varint(),
			Range: model.TimeRange{MinMs: d.varint(), MaxMs: d.varint()}, Matchers: d.string(),
		}
		if v2 {
			t.Scope = d.scope()
		}
		return t
	})
	p.Retired = list(d, 5, func() Retired {
		return Retired{
			ID: d.string(), Format: blocks.Format(d.uvarint()), Size: d.varint(), AtMs: d.varint(), By: list(d, 1, d.string),
		}
	})
	p.Quarantined = list(d, 3, func() Quarantined { return Quarantined{ID: d.string(), AtMs: d.varint(), Reason: d.string()} })
	p.Dropped = list(d, 2, func() Dropped { return Dropped{ID: d.string(), AtMs: d.varint()} })
	return p
}

// checkFormats checks that each block is in the list of its kind, on which all else depends.
func (d *decoder) checkFormats(p *Partition) {
	if d.err != nil {
		return
	}
	for _, e := range p.Blocks {
		if IsRollup(e.Format) {
			d.failf("rollup %.80q among the raw blocks", e.ID)
		}
	}
	for _, e := range p.Rollups {
		if !IsRollup(e.Format) {
			d.failf("block %.80q among the rollups", e.ID)
		}
	}
}

func (d *decoder) scope() Scope {
	v := d.uvarint()
	if v > uint64(ScopeRollups) {
		d.failf("%d is no scope", v)
		return ScopeAll
	}
	return Scope(v)
}

func (d *decoder) entry(rolled bool) Entry {
	e := Entry{Order: d.uvarint(), AddedMs: d.varint()}
	if rolled {
		e.Rolled = d.bool()
	}
	if d.err != nil {
		return e
	}
	m, rest, err := blocks.DecodeMeta(d.b[d.off:])
	if err != nil {
		d.err = fmt.Errorf("payload offset %d: block: %w", d.off, err)
		d.off = len(d.b)
		return e
	}
	d.off = len(d.b) - len(rest)
	e.Meta = m
	return e
}

func (d *decoder) flushed() map[string]uint64 {
	n := d.count(2)
	out := make(map[string]uint64, min(n, 4096))
	for range n {
		writer, generation := d.string(), d.uvarint()
		if d.err != nil {
			return out
		}
		out[writer] = generation
	}
	return out
}

func (d *decoder) root(tenant string) *Root {
	r := &Root{Head: d.head(), Tenant: d.name(tenant), GravestoneMs: d.varint()}
	day := int64(0)
	r.Days = list(d, 1, func() model.Day {
		day += d.varint()
		return model.Day(day)
	})
	for i := 1; i < len(r.Days); i++ {
		if r.Days[i-1] >= r.Days[i] {
			d.failf("days are not ascending")
		}
	}
	for range d.count(2) {
		name, value := d.string(), d.string()
		if d.err != nil {
			break
		}
		if r.Settings == nil {
			r.Settings = map[string]string{}
		}
		r.Settings[name] = value
	}
	r.Snapshots = list(d, 11, func() SnapshotRef {
		return SnapshotRef{Name: d.string(), ID: d.u64(), CreatedMs: d.varint(), Complete: d.bool()}
	})
	return r
}

func (d *decoder) roster() *Roster {
	r := &Roster{Head: d.head()}
	r.Writers = list(d, 7, func() Writer {
		return Writer{
			ID: d.string(), Address: d.string(), Mode: d.string(), Shipping: d.bool(),
			Released: d.uvarint(), State: WriterState(d.uvarint()), StartedMs: d.varint(),
		}
	})
	for i := 1; i < len(r.Writers); i++ {
		if r.Writers[i-1].ID >= r.Writers[i].ID {
			d.failf("writers are not ascending")
		}
	}
	return r
}
