package blocks

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// Format is the layout of a block.
type Format uint8

// The formats of blocks.
const (
	// Native is the hot block, suffix .vb (package native).
	Native Format = 1
	// Parquet is the open block, suffix .parquet.
	Parquet Format = 2
	// Rollup5m and Rollup1h are parquet blocks of rollups, suffixes .5m.parquet and .1h.parquet: one row a window of a series.
	Rollup5m Format = 3
	Rollup1h Format = 4
)

// ResolutionMs is the length of the windows of a rollup in milliseconds, 0 for raw samples.
func (f Format) ResolutionMs() int64 {
	switch f {
	case Rollup5m:
		return 5 * 60 * 1000
	case Rollup1h:
		return 60 * 60 * 1000
	default:
		return 0
	}
}

// IsParquet reports whether blocks of the format are Parquet files.
func (f Format) IsParquet() bool { return f == Parquet || f == Rollup5m || f == Rollup1h }

// suffix is what keys of the format end with.
func (f Format) suffix() string {
	switch f {
	case Parquet:
		return ".parquet"
	case Rollup5m:
		return ".5m.parquet"
	case Rollup1h:
		return ".1h.parquet"
	default:
		return ".vb"
	}
}

// Section is a stretch of a block: [Offset, Offset+Length).
type Section struct{ Offset, Length int64 }

// End is the offset behind the section.
func (s Section) End() int64 { return s.Offset + s.Length }

// DirEntry is one entry of a block's thin directory.
type DirEntry = index.DirEntry

// Fence is the first key of a page of postings.
type Fence = index.Fence

// Meta is what a reader needs to know of a block before its first GET: identity, extent, sections, the thin directory and the fence
// keys of the postings. It is stored in the catalog entry of the block and in the footer of the block itself.
// A Meta is not changed after it was made and may be shared.
type Meta struct {
	ID     string
	Format Format
	Tenant string
	Day    model.Day
	// MinT and MaxT are the smallest and largest timestamps in the block.
	MinT, MaxT int64
	// Size is the length of the object and CRC its checksum as Checksum computes it. The footer holds
	// neither (they depend on it); Open fills them in.
	Size int64
	CRC  uint32
	// Series is the number of series, Samples that of samples of all kinds, Histograms the part of Samples that are native histograms.
	Series, Samples, Histograms int64

	// Writer, Generation and Attempt say where the block came from. A merge has no writer.
	Writer     string
	Generation uint64
	Attempt    uint32
	// CreatedMs is when the block was made, by its maker's clock. A merge has the latest of its inputs, as it has the highest of their
	// orders: whoever rebuilds a catalog from footers orders blocks by it. And so workers that race on a merge make the same bytes.
	CreatedMs int64
	// Replaces are the ids of the blocks that this one was merged from, Tombstones the ids of the tombstones applied to it.
	Replaces, Tombstones []string
	// Sources are the generations of writers whose samples a merge holds, by way of any number of merges; sorted. A
	// flushed block has none: Writer and Generation say it. See SourcesOf.
	Sources []Source

	// The sections of the object, in their order. Runs and Postings may be empty.
	Chunks, Runs, SeriesPages, Postings Section
	// PostingsHead is the length of the head of the postings section (page table and label names), which is itself a page.
	PostingsHead int64
	// Directory has at most index.MaxEntries entries, in order of metric names and offsets.
	Directory []DirEntry
	// PostingsFence has one entry per page of postings, in order.
	PostingsFence []Fence
	// RowGroups are all row groups of a parquet block, in their order, unless they are too many to list; nil in a hot block.
	RowGroups []RowGroup
}

// Range returns the closed range of the block's timestamps.
func (m *Meta) Range() model.TimeRange { return model.TimeRange{MinMs: m.MinT, MaxMs: m.MaxT} }

// Key returns the key of the block's object.
func Key(m *Meta) string { return KeyOf(m.Tenant, m.Day, m.ID, m.Format) }

// KeyOf returns the key of a block's object from the parts of its name.
func KeyOf(tenant string, day model.Day, id string, f Format) string {
	prefix := TenantPrefix(tenant)
	if f.ResolutionMs() > 0 {
		prefix = RollupTenantPrefix(tenant)
	}
	return prefix + "day=" + day.Dashed() + "/" + id + f.suffix()
}

// KeyPrefix begins the keys of all blocks of raw samples, RollupKeyPrefix those of all rollups.
const (
	KeyPrefix       = "d/"
	RollupKeyPrefix = "r/"
)

// TenantPrefix begins the keys of a tenant's blocks of raw samples.
func TenantPrefix(tenantName string) string { return KeyPrefix + "tenant=" + tenantName + "/" }

// RollupTenantPrefix begins the keys of a tenant's rollups.
func RollupTenantPrefix(tenantName string) string {
	return RollupKeyPrefix + "tenant=" + tenantName + "/"
}

// ParseKey is the inverse of KeyOf. ok is false for any other key.
func ParseKey(key string) (tenantName string, day model.Day, id string, f Format, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 {
		return "", 0, "", 0, false
	}
	t, err := time.Parse("2006-01-02", strings.TrimPrefix(parts[2], "day="))
	if err != nil {
		return "", 0, "", 0, false
	}
	tenantName, day = strings.TrimPrefix(parts[1], "tenant="), model.DayOf(t.UnixMilli())
	if tenant.Check(tenantName) != nil {
		return "", 0, "", 0, false
	}
	for _, f := range [...]Format{Native, Parquet, Rollup5m, Rollup1h} {
		id, ok := strings.CutSuffix(parts[3], f.suffix())
		if ok && tenant.Check(id) == nil && KeyOf(tenantName, day, id, f) == key {
			return tenantName, day, id, f, true
		}
	}
	return "", 0, "", 0, false
}

// ID returns the id of the block that a writer makes of a generation's samples of one partition. It depends on
// nothing else, so that a writer that crashed and tries again finds its own object. Attempt tells
// apart objects whose name was taken by other bytes.
func ID(writer string, gen uint64, tenant string, day model.Day, attempt uint32) string {
	b := make([]byte, 0, 128)
	b = appendString(b, "varve block id 1")
	b = appendString(b, writer)
	b = binary.LittleEndian.AppendUint64(b, gen)
	b = appendString(b, tenant)
	b = binary.LittleEndian.AppendUint32(b, uint32(day))
	b = binary.LittleEndian.AppendUint32(b, attempt)
	return hashID(b)
}
