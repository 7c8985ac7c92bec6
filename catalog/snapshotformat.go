package catalog

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/varvedb/varve/model"
)

// The object of a snapshot. Integers of fixed width are little-endian, the words of payloads those of the envelope (format.go).
//
//	offset  width  field
//	0       4      magic "VVsn"
//	4       1      version, 1
//	5       4      length of the head, h
//	9       h      head: an envelope "VVcs", which has version and checksum of its own
//	9+h     …      one section a day, in the order of the head's list: an envelope "VVcp", a catalog like that of the partition
//
// The head comes first so that a reader has it, and the days behind it as far as they fit, with one GET of a guessed length; what it lacks it
// fetches by range. Nothing covers the first nine bytes, and nothing has to: a wrong length does not find an envelope with a right checksum.
//
// Sections are catalogs with everything left out that a reader of the snapshot has no use for: claims, retired, quarantined and dropped blocks. They have
// Generation, order of blocks and tombstones as they were, so that masks hold as they held.
//
// The payload of the head:
//
//	string   tenant
//	string   name
//	nonce    id
//	varint   created ms, varint taken ms
//	list     days: varint difference to the day before (the first to 0), ascending; uvarint blocks, uvarint samples, uvarint bytes,
//	         uvarint length of the section
const (
	snapshotMagic   = "VVsn"
	snapshotVersion = 1
	snapshotPrefix  = 9
	// maxSnapshotHead bounds what a reader fetches of a head: 4 MiB are some 200,000 days.
	maxSnapshotHead = 4 << 20
)

const kindSnapshot kind = "VVcs"

// sealSnapshot makes the object; sections are those of the days, whose places it enters in s.
func (c *codec) sealSnapshot(s *Snapshot, sections [][]byte) ([]byte, error) {
	at := int64(0)
	for i := range s.Days {
		s.Days[i].offset, s.Days[i].length = at, int64(len(sections[i]))
		at += int64(len(sections[i]))
	}
	head, err := c.sealPayload(kindSnapshot, s.appendPayload(nil))
	if err != nil {
		return nil, err
	}
	if len(head) > maxSnapshotHead {
		return nil, fmt.Errorf("a snapshot of %d days: %w", len(s.Days), errTooLarge)
	}
	b := append(make([]byte, 0, int64(snapshotPrefix+len(head))+at), snapshotMagic...)
	b = append(b, snapshotVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(head)))
	b = append(b, head...)
	for _, section := range sections {
		b = append(b, section...)
	}
	s.place(int64(len(head)))
	return b, nil
}

// place turns the offsets of sections behind the head into those within the object.
func (s *Snapshot) place(head int64) {
	at := snapshotPrefix + head
	for i := range s.Days {
		s.Days[i].offset = at
		at += s.Days[i].length
	}
}

// headLength reads the first bytes of the object.
func headLength(b []byte) (int64, error) {
	switch {
	case len(b) < snapshotPrefix:
		return 0, fmt.Errorf("object of %d bytes is too short: %w", len(b), model.ErrCorrupt)
	case string(b[:4]) != snapshotMagic:
		return 0, fmt.Errorf("magic is %q, want %q: %w", b[:4], snapshotMagic, model.ErrCorrupt)
	case b[4] != snapshotVersion:
		return 0, fmt.Errorf("object has format version %d, this program reads %d: %w", b[4], snapshotVersion, model.ErrVersion)
	}
	n := int64(binary.LittleEndian.Uint32(b[5:]))
	if n > maxSnapshotHead {
		return 0, fmt.Errorf("head of %d bytes, at most %d are allowed: %w", n, maxSnapshotHead, model.ErrCorrupt)
	}
	return n, nil
}

// openSnapshot decodes the head of an object of the given size.
func (c *codec) openSnapshot(head []byte, tenantName string, ref SnapshotRef, size int64) (*Snapshot, error) {
	d, err := c.open(head, kindSnapshot)
	if err != nil {
		return nil, err
	}
	s := d.snapshot(tenantName, ref)
	if err := d.finish(); err != nil {
		return nil, err
	}
	s.place(int64(len(head)))
	end := int64(snapshotPrefix + len(head))
	for _, day := range s.Days {
		if day.length > size-end {
			return nil, fmt.Errorf("object has %d bytes, which is less than its head speaks of: %w", size, model.ErrCorrupt)
		}
		end += day.length
	}
	if end != size {
		return nil, fmt.Errorf("object has %d bytes, its head speaks of %d: %w", size, end, model.ErrCorrupt)
	}
	return s, nil
}

func (s *Snapshot) appendPayload(b []byte) []byte {
	b = appendString(appendString(b, s.Tenant), s.Name)
	b = binary.LittleEndian.AppendUint64(b, s.ID)
	b = binary.AppendVarint(b, s.CreatedMs)
	b = binary.AppendVarint(b, s.TakenMs)
	before := int64(0)
	return appendList(b, s.Days, func(b []byte, d SnapshotDay) []byte {
		b = binary.AppendVarint(b, int64(d.Day)-before)
		before = int64(d.Day)
		b = binary.AppendUvarint(b, uint64(d.Blocks))
		b = binary.AppendUvarint(b, uint64(d.Samples))
		b = binary.AppendUvarint(b, uint64(d.Bytes))
		return binary.AppendUvarint(b, uint64(d.length))
	})
}

func (d *decoder) snapshot(tenantName string, ref SnapshotRef) *Snapshot {
	s := &Snapshot{Tenant: d.name(tenantName), Name: d.name(ref.Name), ID: d.u64(), CreatedMs: d.varint(), TakenMs: d.varint()}
	if d.err == nil && s.ID != ref.ID {
		d.failf("snapshot with id %016x under the key of %016x", s.ID, ref.ID)
	}
	day := int64(0)
	s.Days = list(d, 5, func() SnapshotDay {
		day += d.varint()
		return SnapshotDay{Day: model.Day(day), Blocks: d.size(), Samples: d.size(), Bytes: d.size(), length: d.size()}
	})
	for i := 1; i < len(s.Days); i++ {
		if s.Days[i-1].Day >= s.Days[i].Day {
			d.failf("days are not ascending")
		}
	}
	return s
}

// size reads a number that is not negative as an int64.
func (d *decoder) size() int64 {
	v := d.uvarint()
	if int64(v) < 0 {
		d.failf("size %d is too large", v)
		return 0
	}
	return int64(v)
}

func (d *decoder) u64() uint64 {
	if len(d.b)-d.off < 8 {
		d.failf("8 bytes wanted where %d are left", len(d.b)-d.off)
		return 0
	}
	v := binary.LittleEndian.Uint64(d.b[d.off:])
	d.off += 8
	return v
}

// forSnapshot is what a snapshot keeps of the catalog.
func (p *Partition) forSnapshot() *Partition {
	return &Partition{
		Tenant: p.Tenant, Day: p.Day, Head: p.Head, Blocks: slices.Clone(p.Blocks), Rollups: slices.Clone(p.Rollups), Thinned: p.Thinned,
		Flushed: maps.Clone(p.Flushed), Tombstones: slices.Clone(p.Tombstones),
	}
}
