package blocks

import (
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks/parquet"
	"github.com/varvedb/varve/model"
)

// RowGroup is the place of a row group of a parquet block, and the window of the day whose samples it holds.
type RowGroup = parquet.RowGroup

// maxRowGroups is how many row groups a Meta lists: 4 bytes each, of a rollup some 25.
const maxRowGroups = 4096

// appendRowGroups appends: number uvarint, then per row group length << 3 | window uvarint, or of a rollup u8 Refers and the length of
// each part, uvarint. They lie one behind the other and fill the section of the chunks.
func appendRowGroups(b []byte, m *Meta) []byte {
	b = binary.AppendUvarint(b, uint64(len(m.RowGroups)))
	for _, g := range m.RowGroups {
		if m.Format == Parquet {
			b = binary.AppendUvarint(b, uint64(g.Length)<<3|uint64(g.Window))
			continue
		}
		b = append(b, g.Refers)
		for _, n := range g.Parts {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	return b
}

func (d *metaReader) rowGroups(f Format, chunks Section) []RowGroup {
	n := d.count()
	if n > maxRowGroups {
		d.fail()
		return nil
	}
	if n == 0 {
		return nil
	}
	out := make([]RowGroup, n)
	at := chunks.Offset
	for i := range out {
		if out[i] = d.rowGroup(f, chunks); d.bad {
			return nil
		}
		out[i].Offset = at
		if at += out[i].Length; out[i].Length > chunks.Length || at > chunks.End() {
			d.fail()
			return nil
		}
	}
	return out
}

// rowGroup reads one but for its offset.
func (d *metaReader) rowGroup(f Format, chunks Section) (g RowGroup) {
	if f == Parquet {
		u := d.uvarint()
		return RowGroup{Length: int64(u >> 3), Window: int(u & 7)}
	}
	g = RowGroup{Refers: d.u8(), Parts: make([]int64, parquet.RowGroupParts)}
	for i := range g.Parts {
		if u := d.uvarint(); u <= uint64(chunks.Length) {
			g.Parts[i] = int64(u)
			g.Length += int64(u)
		} else {
			d.fail()
		}
	}
	return g
}

func (m *Meta) checkRowGroups() error {
	if len(m.RowGroups) > 0 && !m.Format.IsParquet() {
		return fmt.Errorf("block meta of %.64q: row groups in format %d: %w", m.ID, m.Format, model.ErrCorrupt)
	}
	at := m.Chunks.Offset
	for _, g := range m.RowGroups {
		if g.Offset != at || g.Length <= 0 || g.Length > m.Chunks.End()-at || g.Window < 0 || g.Window >= m.Format.rows().Windows() {
			return fmt.Errorf("block meta of %.64q: row group of %d bytes at %d: %w", m.ID, g.Length, g.Offset, model.ErrCorrupt)
		}
		at += g.Length
	}
	if len(m.RowGroups) > 0 && at != m.Chunks.End() {
		return fmt.Errorf("block meta of %.64q: row groups end at %d, their section at %d: %w", m.ID, at, m.Chunks.End(), model.ErrCorrupt)
	}
	return nil
}

// skipEntry reports whether a guess at the rows of the metric, which entries [lo, hi) of the directory may hold, may pass over the first. That is
// among them because an entry does not say with which metric it ends; but where the next entry begins a range with the metric, the
// metric begins there, as a small one lies in one range, and a big one begins one. (One of very many label texts may not, and then takes a stage more.)
func (m *Meta) skipEntry(metric string, lo, hi int) bool {
	if !m.Format.IsParquet() || lo+1 >= hi {
		return false
	}
	first, next := m.Directory[lo], m.Directory[lo+1]
	return first.FirstMetric != metric && next.FirstMetric == metric && next.ChunkOffset > first.ChunkOffset
}

// rowsOf returns where the rows lie of the series in a stretch, as far as the directory tells: whole ranges from the stretch's chunks on, of which
// only the row groups of the windows (bit w for window w) if Meta lists them, and of a rollup only what the aggregate needs.
func (m *Meta) rowsOf(st stretch, windows uint8, a model.Aggregate) []blob.Range {
	dir, series := m.Directory, st.series
	// Entries [lo, hi) hold the stretch.
	lo := max(0, sort.Search(len(dir), func(i int) bool { return dir[i].SeriesOffset > series.Offset })-1)
	hi := sort.Search(len(dir), func(i int) bool { return dir[i].SeriesOffset >= series.Offset+series.Length })
	if lo >= hi {
		return nil
	}
	from, to := max(dir[lo].ChunkOffset, st.chunks.Offset), m.Chunks.End()
	// Entries of one range begin at the same row group.
	for _, e := range dir[hi:] {
		if e.ChunkOffset > dir[hi-1].ChunkOffset {
			to = e.ChunkOffset
			break
		}
	}
	if len(m.RowGroups) == 0 {
		if m.Format.ResolutionMs() > 0 {
			return nil // most of it would be for nothing
		}
		return []blob.Range{{Offset: from, Length: to - from}}
	}
	var out []blob.Range
	first := sort.Search(len(m.RowGroups), func(i int) bool { return m.RowGroups[i].Offset >= from })
	for _, g := range m.RowGroups[first:] {
		if g.Offset >= to {
			break
		}
		if windows>>g.Window&1 == 0 {
			continue
		}
		if g.Parts == nil {
			out = appendRange(out, blob.Range{Offset: g.Offset, Length: g.Length})
			continue
		}
		for _, s := range g.Needed(a) {
			out = appendRange(out, blob.Range(s))
		}
	}
	return out
}

// appendRange appends a range, or makes the last one longer if they touch.
func appendRange(to []blob.Range, r blob.Range) []blob.Range {
	if n := len(to); n > 0 && to[n-1].Offset+to[n-1].Length == r.Offset {
		to[n-1].Length += r.Length
		return to
	}
	return append(to, r)
}
