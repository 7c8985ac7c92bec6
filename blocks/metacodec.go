package blocks

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// A Meta is encoded as
//
//	version  u8       3 of a rollup, 2 if there are sources, else 1
//	length   uvarint  of the body
//	body     fields in the order of appendBody
//	crc      u32 LE   CRC-32C of everything before it
//
// Strings are a uvarint length and bytes; signed integers are zigzag varints, unsigned ones uvarints. Directory and
// fences are front-coded (shared prefix with the key before, rest) and their offsets are differences, since both ascend: about
// 10 bytes an entry before the catalog's own zstd.
//
// Versions differ in what stands at the end of the body only, and a reader of version N reads all before. A higher version gives model.ErrVersion: a newer Varve wrote it.
const (
	metaVersion        = 3 // of rollups, with sources
	metaVersionSamples = 2 // of raw samples, with sources
	metaVersionPlain   = 1 // without sources
)

// maxRuns bounds the section of runs that a reader takes; writers keep to native.MaxRunSection.
const maxRuns = 1 << 20

// castagnoli makes no state: crc32 keeps one shared table for this polynomial.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// AppendMeta appends the encoding of m to dst.
func AppendMeta(dst []byte, m *Meta) []byte {
	body := appendBody(nil, m)
	start := len(dst)
	version := byte(metaVersionPlain)
	if m.Format.ResolutionMs() > 0 {
		version = metaVersion
	} else if len(m.Sources) > 0 {
		version = metaVersionSamples
	}
	if version > metaVersionPlain {
		body = appendSources(body, m.Sources)
	}
	dst = append(dst, version)
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	dst = append(dst, body...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli()))
}

func appendBody(b []byte, m *Meta) []byte {
	b = appendString(b, m.ID)
	b = append(b, byte(m.Format))
	b = appendString(b, m.Tenant)
	b = binary.AppendVarint(b, int64(m.Day))
	b = binary.AppendVarint(b, m.MinT)
	b = binary.AppendVarint(b, m.MaxT)
	b = binary.AppendVarint(b, m.Size)
	b = binary.LittleEndian.AppendUint32(b, m.CRC)
	b = binary.AppendVarint(b, m.Series)
	b = binary.AppendVarint(b, m.Samples)
	b = binary.AppendVarint(b, m.Histograms)
	b = appendString(b, m.Writer)
	b = binary.AppendUvarint(b, m.Generation)
	b = binary.AppendUvarint(b, uint64(m.Attempt))
	b = binary.AppendVarint(b, m.CreatedMs)
	b = appendStrings(b, m.Replaces)
	b = appendStrings(b, m.Tombstones)
	for _, s := range []Section{m.Chunks, m.Runs, m.SeriesPages, m.Postings} {
		b = binary.AppendVarint(b, s.Offset)
		b = binary.AppendVarint(b, s.Length)
	}
	b = binary.AppendVarint(b, m.PostingsHead)
	b = binary.AppendUvarint(b, uint64(len(m.Directory)))
	var prev DirEntry
	for _, e := range m.Directory {
		b = appendFront(b, prev.FirstMetric, e.FirstMetric)
		b = binary.AppendVarint(b, e.SeriesOffset-prev.SeriesOffset)
		b = binary.AppendVarint(b, e.ChunkOffset-prev.ChunkOffset)
		prev = e
	}
	b = binary.AppendUvarint(b, uint64(len(m.PostingsFence)))
	var pf Fence
	for _, f := range m.PostingsFence {
		b = appendFront(b, pf.Name, f.Name)
		b = appendFront(b, pf.Value, f.Value)
		b = binary.AppendVarint(b, f.Offset-pf.Offset)
		pf = f
	}
	if m.Format.IsParquet() {
		b = appendRowGroups(b, m)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, ss []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(ss)))
	for _, s := range ss {
		b = appendString(b, s)
	}
	return b
}

func appendFront(b []byte, prev, s string) []byte {
	n := 0
	for n < len(prev) && n < len(s) && prev[n] == s[n] {
		n++
	}
	b = binary.AppendUvarint(b, uint64(n))
	return appendString(b, s[n:])
}

// DecodeMeta decodes the Meta at the start of b and returns what follows it. Errors wrap model.ErrCorrupt or model.ErrVersion. The
// result does not alias b, and its sections are checked to lie in order within the object.
func DecodeMeta(b []byte) (*Meta, []byte, error) {
	if len(b) == 0 {
		return nil, nil, fmt.Errorf("block meta is empty: %w", model.ErrCorrupt)
	}
	if b[0] > metaVersion {
		return nil, nil, fmt.Errorf("block meta has version %d, this program reads up to %d: %w", b[0], metaVersion, model.ErrVersion)
	}
	if b[0] == 0 {
		return nil, nil, fmt.Errorf("block meta has version 0: %w", model.ErrCorrupt)
	}
	n, w := binary.Uvarint(b[1:])
	if w <= 0 || n > uint64(len(b)) || int(n)+1+w+4 > len(b) {
		return nil, nil, fmt.Errorf("block meta is cut off: %w", model.ErrCorrupt)
	}
	end := 1 + w + int(n)
	if crc32.Checksum(b[:end], castagnoli()) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, nil, fmt.Errorf("block meta checksum: %w", model.ErrCorrupt)
	}
	d := metaReader{b: b[1+w : end]}
	m := d.meta()
	if b[0] > metaVersionPlain {
		m.Sources = d.sources()
	}
	if d.bad || len(d.b) != 0 || (b[0] == metaVersion) != (m.Format.ResolutionMs() > 0) && m.Format <= Rollup1h {
		return nil, nil, fmt.Errorf("block meta fields: %w", model.ErrCorrupt)
	}
	if err := m.check(); err != nil {
		return nil, nil, err
	}
	return m, b[end+4:], nil
}

// metaReader takes fields off b. After the first fault all fields are zero and bad is set.
type metaReader struct {
	b   []byte
	bad bool
}

func (d *metaReader) fail() { d.bad, d.b = true, nil }

func (d *metaReader) uvarint() uint64 {
	v, w := binary.Uvarint(d.b)
	if w <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[w:]
	return v
}

func (d *metaReader) varint() int64 {
	v, w := binary.Varint(d.b)
	if w <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[w:]
	return v
}

func (d *metaReader) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *metaReader) string() string { return string(d.bytes(d.uvarint())) }

func (d *metaReader) u32() uint32 {
	if v := d.bytes(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (d *metaReader) u8() byte {
	if v := d.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

// count reads a number of things that take at least one byte each.
func (d *metaReader) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *metaReader) strings() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	out := make([]string, 0, n)
	for range n {
		out = append(out, d.string())
	}
	return out
}

func (d *metaReader) front(prev string) string {
	n := d.uvarint()
	if n > uint64(len(prev)) {
		d.fail()
		return ""
	}
	s := prev[:n] + d.string()
	if len(s) > index.MaxFence {
		d.fail()
		return ""
	}
	return s
}

func (d *metaReader) meta() *Meta {
	m := &Meta{}
	m.ID, m.Format, m.Tenant = d.string(), Format(d.u8()), d.string()
	day := d.varint()
	if day < math.MinInt32 || day > math.MaxInt32 {
		d.fail()
	}
	m.Day = model.Day(day)
	m.MinT, m.MaxT, m.Size, m.CRC = d.varint(), d.varint(), d.varint(), d.u32()
	m.Series, m.Samples, m.Histograms = d.varint(), d.varint(), d.varint()
	m.Writer, m.Generation = d.string(), d.uvarint()
	attempt := d.uvarint()
	if attempt > math.MaxUint32 {
		d.fail()
	}
	m.Attempt, m.CreatedMs = uint32(attempt), d.varint()
	m.Replaces, m.Tombstones = d.strings(), d.strings()
	for _, s := range []*Section{&m.Chunks, &m.Runs, &m.SeriesPages, &m.Postings} {
		s.Offset, s.Length = d.varint(), d.varint()
	}
	m.PostingsHead = d.varint()
	if n := d.count(); n > index.MaxEntries {
		d.fail()
	} else if n > 0 {
		m.Directory = make([]DirEntry, n)
		var prev DirEntry
		for i := range m.Directory {
			prev.FirstMetric = d.front(prev.FirstMetric)
			prev.SeriesOffset += d.varint()
			prev.ChunkOffset += d.varint()
			m.Directory[i] = prev
		}
	}
	if n := d.count(); n > index.MaxEntries {
		d.fail()
	} else if n > 0 {
		m.PostingsFence = make([]Fence, n)
		var prev Fence
		for i := range m.PostingsFence {
			prev.Name = d.front(prev.Name)
			prev.Value = d.front(prev.Value)
			prev.Offset += d.varint()
			m.PostingsFence[i] = prev
		}
	}
	if m.Format.IsParquet() {
		m.RowGroups = d.rowGroups(m.Format, m.Chunks)
	}
	return m
}

// check reports whether the numbers of m fit together, so that readers may compute with them.
func (m *Meta) check() error {
	bad := func(what string) error {
		return fmt.Errorf("block meta of %.64q: %s: %w", m.ID, what, model.ErrCorrupt)
	}
	if m.Format != Native && !m.Format.IsParquet() {
		return fmt.Errorf("block meta of %.64q: format %d: %w", m.ID, m.Format, model.ErrVersion)
	}
	// Tenant and id become part of a key, which on a directory bucket is a path.
	if tenant.Check(m.ID) != nil || tenant.Check(m.Tenant) != nil {
		return bad("tenant or id")
	}
	const limit = 1 << 50
	at := int64(0)
	for _, s := range []Section{m.Chunks, m.Runs, m.SeriesPages, m.Postings} {
		if s.Length < 0 || s.Length > limit || s.Offset < at || s.Offset > limit {
			return bad("sections overlap or are out of order")
		}
		at = s.End()
	}
	if m.Size < 0 || m.Size > 0 && at > m.Size {
		return bad("sections reach past the end")
	}
	if m.Series < 0 || m.Series > math.MaxInt32 || m.Samples < 0 || m.Histograms < 0 || m.Histograms > m.Samples {
		return bad("counts")
	}
	if m.Runs.Length > maxRuns {
		return bad("section of runs")
	}
	if m.PostingsHead < 0 || m.PostingsHead > m.Postings.Length {
		return bad("head of the postings")
	}
	if err := m.checkRowGroups(); err != nil {
		return err
	}
	so, co, name := m.SeriesPages.Offset, m.Chunks.Offset, ""
	for _, e := range m.Directory {
		if e.SeriesOffset < so || e.SeriesOffset > m.SeriesPages.End() || e.ChunkOffset < co || e.ChunkOffset > m.Chunks.End() || e.FirstMetric < name {
			return bad("directory is out of order")
		}
		so, co, name = e.SeriesOffset, e.ChunkOffset, e.FirstMetric
	}
	po := m.Postings.Offset + m.PostingsHead
	for i, f := range m.PostingsFence {
		if f.Offset < po || f.Offset > m.Postings.End() || i > 0 && (f.Name < name || f.Name == name && f.Value < m.PostingsFence[i-1].Value) {
			return bad("fences of the postings are out of order")
		}
		po, name = f.Offset, f.Name
	}
	return m.checkSources()
}
