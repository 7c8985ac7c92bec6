package catalog

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/varvedb/varve/blocks"
)

func appendHead(b []byte, h *Head) []byte {
	b = binary.AppendUvarint(b, h.Generation)
	b = binary.AppendUvarint(b, uint64(len(h.Trail)))
	for _, n := range h.Trail {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// appendPayload encodes the partition:
//
//	string   tenant            (a check against objects that were copied to another key)
//	varint   day
//	varint   gravestone ms
//	uvarint  thinned: 1, else 0                                                                          (version 2)
//	list     blocks:      uvarint order, varint added ms, uvarint 1 if rolled else 0 (version 2),
//	                      meta (blocks.AppendMeta, which ends itself and has its own version)
//	list     rollups:     uvarint order, varint added ms, meta                                           (version 2)
//	list     flushed:     string writer, uvarint generation; sorted by writer
//	list     claims:      string job, string holder, varint until ms
//	list     tombstones:  string id, uvarint order, varint created ms, varint min ms, varint max ms, string matchers,
//	                      uvarint scope: 0 all, 1 raw, 2 rollups (version 2)
//	list     retired:     string id, uvarint format, varint size, varint at ms, list of string by
//	list     quarantined: string id, varint at ms, string reason
//	list     dropped:     string id, varint at ms
//
// The fields of version 2 are written when one of them says something; else the payload is one of version 1, which programs that know no rollups read.
func (p *Partition) appendPayload(b []byte) []byte {
	v2 := p.version() >= versionRollups
	b = appendString(b, p.Tenant)
	b = binary.AppendVarint(b, int64(p.Day))
	b = binary.AppendVarint(b, p.GravestoneMs)
	if v2 {
		b = appendBool(b, p.Thinned)
	}
	b = appendList(b, p.Blocks, func(b []byte, e Entry) []byte {
		b = binary.AppendUvarint(b, e.Order)
		b = binary.AppendVarint(b, e.AddedMs)
		if v2 {
			b = appendBool(b, e.Rolled)
		}
		return blocks.AppendMeta(b, e.Meta)
	})
	if v2 {
		b = appendList(b, p.Rollups, func(b []byte, e Entry) []byte {
			b = binary.AppendVarint(binary.AppendUvarint(b, e.Order), e.AddedMs)
			return blocks.AppendMeta(b, e.Meta)
		})
	}
	b = appendFlushed(b, p.Flushed)
	b = appendList(b, p.Claims, func(b []byte, c Claim) []byte {
		return binary.AppendVarint(appendString(appendString(b, c.Job), c.Holder), c.UntilMs)
	})
	b = appendList(b, p.Tombstones, func(b []byte, t Tombstone) []byte {
		b = binary.AppendUvarint(appendString(b, t.ID), t.Order)
		b = binary.AppendVarint(b, t.CreatedMs)
		b = binary.AppendVarint(b, t.Range.MinMs)
		b = binary.AppendVarint(b, t.Range.MaxMs)
		b = appendString(b, t.Matchers)
		if v2 {
			b = binary.AppendUvarint(b, uint64(t.Scope))
		}
		return b
	})
	b = appendList(b, p.Retired, func(b []byte, r Retired) []byte {
		b = binary.AppendUvarint(appendString(b, r.ID), uint64(r.Format))
		b = binary.AppendVarint(b, r.Size)
		b = binary.AppendVarint(b, r.AtMs)
		return appendList(b, r.By, appendString)
	})
	b = appendList(b, p.Quarantined, func(b []byte, q Quarantined) []byte {
		return appendString(binary.AppendVarint(appendString(b, q.ID), q.AtMs), q.Reason)
	})
	return appendList(b, p.Dropped, func(b []byte, d Dropped) []byte {
		return binary.AppendVarint(appendString(b, d.ID), d.AtMs)
	})
}

// version is the lowest version of the payload that can say what p is.
func (p *Partition) version() byte {
	scoped := func(t Tombstone) bool { return t.Scope != ScopeAll }
	if p.Thinned || len(p.Rollups) > 0 || slices.ContainsFunc(p.Blocks, func(e Entry) bool { return e.Rolled }) || slices.ContainsFunc(p.Tombstones, scoped) {
		return versionRollups
	}
	return versionFirst
}

// appendPayload encodes the root:
//
//	string   tenant
//	varint   gravestone ms
//	list     days:      varint difference to the day before (the first to 0); ascending
//	list     settings:  string name, string value; sorted by name
//	list     snapshots: string name, nonce id, varint created ms, uvarint 1 if complete else 0
func (r *Root) appendPayload(b []byte) []byte {
	b = appendString(b, r.Tenant)
	b = binary.AppendVarint(b, r.GravestoneMs)
	b = binary.AppendUvarint(b, uint64(len(r.Days)))
	before := int64(0)
	for _, d := range r.Days {
		b = binary.AppendVarint(b, int64(d)-before)
		before = int64(d)
	}
	b = appendList(b, slices.Sorted(maps.Keys(r.Settings)), func(b []byte, name string) []byte {
		return appendString(appendString(b, name), r.Settings[name])
	})
	return appendList(b, r.Snapshots, func(b []byte, s SnapshotRef) []byte {
		b = binary.LittleEndian.AppendUint64(appendString(b, s.Name), s.ID)
		return appendBool(binary.AppendVarint(b, s.CreatedMs), s.Complete)
	})
}

// appendPayload encodes the roster:
//
//	list     writers: string id, string address, string mode, uvarint 1 if shipping else 0, uvarint released,
//	         uvarint state (1 active, 2 clean, 3 adopted), varint started ms; sorted by id
func (r *Roster) appendPayload(b []byte) []byte {
	return appendList(b, r.Writers, func(b []byte, w Writer) []byte {
		b = appendString(appendString(appendString(b, w.ID), w.Address), w.Mode)
		b = appendBool(b, w.Shipping)
		b = binary.AppendUvarint(b, w.Released)
		b = binary.AppendUvarint(b, uint64(w.State))
		return binary.AppendVarint(b, w.StartedMs)
	})
}

func appendFlushed(b []byte, flushed map[string]uint64) []byte {
	return appendList(b, slices.Sorted(maps.Keys(flushed)), func(b []byte, writer string) []byte {
		return binary.AppendUvarint(appendString(b, writer), flushed[writer])
	})
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendList[T any](b []byte, list []T, one func([]byte, T) []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, e := range list {
		b = one(b, e)
	}
	return b
}
