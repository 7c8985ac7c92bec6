package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/varvedb/varve/model"
)

// Segment is a parsed segment whose checksums all hold. It refers to the bytes it was parsed from. It is
// immutable and safe for concurrent use.
type Segment struct {
	Generation, Seq uint64
	Writer          string
	// PrevValid is the length up to which the previous segment of the log counts; 0 if the writer did not know.
	PrevValid int64
	// Fence: this object ends the log of a dead writer; Adopter made it. It holds no records.
	Fence   bool
	Adopter string
	// EndMark: this is the last segment of its generation.
	EndMark bool
	// Closed: there is an end index. Segments without one are cut short by a crash or a failure, and as good.
	Closed bool

	h      *header
	name   string
	data   []byte
	groups []span
	index  map[string][]span
}

// span is a range of bytes of a segment.
type span struct{ from, to int }

// ParseOptions are the tunables of ParseSegment.
type ParseOptions struct {
	// Name of the file or object for errors. Default: "segment".
	Name string
	// Valid is the length that counts, where the next segment's PrevValid is known. Default 0: all of it.
	Valid int64
}

// ParseSegment checks a whole segment. Errors wrap ErrCorrupt, with the offset, or ErrVersion. There is no torn tail here: what was
// shipped, or counts according to the next segment, was synced.
func ParseSegment(data []byte, opts *ParseOptions) (*Segment, error) {
	if opts == nil {
		opts = &ParseOptions{}
	}
	name := opts.Name
	if name == "" {
		name = "segment"
	}
	if opts.Valid > int64(len(data)) {
		return nil, fmt.Errorf("parse %s at offset %d: the next segment says it has %d bytes: %w", name, len(data), opts.Valid, model.ErrCorrupt)
	}
	if opts.Valid > 0 {
		data = data[:opts.Valid]
	}
	h, err := parseHeader(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	s, at, wrong := scan(data, h)
	if wrong != "" {
		return nil, fmt.Errorf("parse %s at offset %d: %s: %w", name, at, wrong, model.ErrCorrupt)
	}
	s.name = name
	return s, nil
}

// scan walks over the items. It returns the segment up to the first bad one, where that is and what is wrong with it.
func scan(data []byte, h *header) (s *Segment, at int, wrong string) {
	s = &Segment{
		Generation: h.generation, Seq: h.seq, Writer: h.writer, PrevValid: int64(h.prevValid),
		Fence: h.fence, Adopter: h.adopter, h: h, data: data,
	}
	at = h.length
	for number := uint32(0); at < len(data); number++ {
		it, ok := parseItem(data[at:], h.crc, int64(at))
		end := at + itemHeader + int(it.length)
		switch {
		case s.Closed:
			return s, at, "bytes behind the end"
		case s.Fence:
			return s, at, "bytes behind a fence"
		case !ok:
			return s, at, "bad item header"
		case it.number != number || it.length == 0 || it.typ == typeGroup && it.flags != 0 || it.flags > flagEndMark:
			return s, at, "item header makes no sense"
		case int64(end) > int64(len(data)):
			return s, at, "item cut off"
		case checksum(data[at+itemHeader:end]) != it.crc:
			return s, at, "wrong checksum"
		}
		if it.typ == typeGroup {
			s.groups = append(s.groups, span{at + itemHeader, end})
			at = end
			continue
		}
		if s.index, wrong = parseIndex(data[at+itemHeader:end], at); wrong != "" {
			return s, at, wrong
		}
		s.Closed, s.EndMark = true, it.flags&flagEndMark != 0
		at = end
	}
	s.data = data[:at]
	return s, at, ""
}

// itemBehind looks for an item header anywhere behind a bad item at offset at. Nothing is
// written behind an item before it is synced, so one proves that the bad item was good once.
func itemBehind(data []byte, h *header, at int) (offset int, found bool) {
	for at++; at+itemHeader <= len(data); at++ {
		if _, ok := parseItem(data[at:], h.crc, int64(at)); ok {
			return at, true
		}
	}
	return 0, false
}

// Records calls fn with the records of one tenant, or of all if tenant is empty, in the order of the log, on the calling goroutine.
// It stops at the first error of fn and returns it as it is.
func (s *Segment) Records(tenant string, fn func(Record) error) error {
	return s.decode(tenant, newDecoder(s.h, fn))
}

func (s *Segment) decode(tenant string, d *decoder) error {
	if tenant == "" || !s.Closed {
		return s.walk(tenant, d)
	}
	for _, r := range s.index[tenant] {
		if i := s.groupOf(r); i < 0 || !s.belongs(r, tenant) {
			return s.corrupt(r.from, "the index names a record where there is none of the tenant")
		}
		if end, err := s.record(r.from, r.to, tenant, d); err != nil {
			return err
		} else if end != r.to {
			return s.corrupt(r.from, "the index gives a wrong record length")
		}
	}
	return nil
}

// walk decodes the records of all groups one by one, skipping other tenants'.
func (s *Segment) walk(tenant string, d *decoder) error {
	for _, g := range s.groups {
		for at := g.from; at < g.to; {
			next, err := s.record(at, g.to, tenant, d)
			if err != nil {
				return err
			}
			at = next
		}
	}
	return nil
}

// record decodes the record at offset at, which must end by limit, if it is the tenant's, and returns its end.
func (s *Segment) record(at, limit int, tenant string, d *decoder) (end int, err error) {
	if limit-at < recordHead {
		return 0, s.corrupt(at, "record cut off")
	}
	size, nameLen := int64(le.Uint32(s.data[at:])), int(s.data[at+4])
	body := at + recordHead + nameLen
	if size > maxRecord || int64(body)+size > int64(limit) {
		return 0, s.corrupt(at, "record cut off")
	}
	end = body + int(size)
	name := s.data[at+recordHead : body]
	if tenant != "" && string(name) != tenant {
		return end, nil
	}
	bad, wrong, err := d.body(d.tenant(name), s.data[body:end:end])
	if wrong != "" {
		return 0, s.corrupt(body+bad, wrong)
	}
	return end, err
}

// belongs reports whether the record at r is the tenant's.
func (s *Segment) belongs(r span, tenant string) bool {
	head := append([]byte{byte(len(tenant))}, tenant...)
	return r.to-r.from > recordHead && bytes.HasPrefix(s.data[r.from+recordHead-1:r.to], head)
}

// groupOf returns the group that holds the record, or -1.
func (s *Segment) groupOf(r span) int {
	i, found := slices.BinarySearchFunc(s.groups, r, func(g, r span) int {
		switch {
		case r.from >= g.to:
			return -1
		case r.to <= g.from:
			return 1
		}
		return 0
	})
	if !found || r.from < s.groups[i].from || r.to > s.groups[i].to {
		return -1
	}
	return i
}

func (s *Segment) corrupt(at int, what string) error {
	return fmt.Errorf("parse %s at offset %d: %s: %w", s.name, at, what, model.ErrCorrupt)
}

// index gathers the end index of the segment being written.
type index struct {
	tenants []string // in order of appearance, so that equal histories give equal bytes
	records map[string][]span
}

// add notes the records of a group whose payload-relative offsets are shifted by base.
func (x *index) add(records []recordSpan, base int) {
	if x.records == nil {
		x.records = map[string][]span{}
	}
	for _, r := range records {
		if _, known := x.records[r.tenant]; !known {
			x.tenants = append(x.tenants, r.tenant)
		}
		x.records[r.tenant] = append(x.records[r.tenant], span{base + r.off, base + r.off + r.length})
	}
}

// append writes the payload of a close item at offset at.
func (x *index) append(b []byte, at int64) []byte {
	b = binary.AppendUvarint(b, uint64(len(x.tenants)))
	for _, tenant := range x.tenants {
		b = binary.AppendUvarint(b, uint64(len(tenant)))
		b = append(b, tenant...)
		b = binary.AppendUvarint(b, uint64(len(x.records[tenant])))
		last := 0
		for _, r := range x.records[tenant] {
			b = binary.AppendUvarint(b, uint64(r.from-last))
			b = binary.AppendUvarint(b, uint64(r.to-r.from))
			last = r.to
		}
	}
	b = le.AppendUint64(b, uint64(at))
	return append(b, endMagic...)
}

// parseIndex reads the payload of a close item at offset at, and says what is wrong with it. Its spans lie below at.
func parseIndex(p []byte, at int) (tenants map[string][]span, wrong string) {
	n := len(p) - trailerBytes
	if n < 1 || string(p[n+8:]) != endMagic || le.Uint64(p[n:]) != uint64(at) {
		return nil, "bad end"
	}
	r := reader{b: p[:n]}
	tenants = map[string][]span{}
	for range r.count(2) {
		name := string(r.bytes())
		spans := make([]span, 0, r.count(2))
		last := 0
		for range cap(spans) {
			from := last + r.below(at)
			last = from + r.below(at)
			spans = append(spans, span{from, last})
			if last > at {
				return nil, "index points beyond the records"
			}
		}
		tenants[name] = spans
		if r.bad {
			break
		}
	}
	if r.bad || r.at != n {
		return nil, "bad index"
	}
	return tenants, ""
}

// reader reads uvarints and notes that something was wrong.
type reader struct {
	b   []byte
	at  int
	bad bool
}

func (r *reader) below(limit int) int {
	v, k := binary.Uvarint(r.b[r.at:])
	if k <= 0 || v > uint64(limit) {
		r.bad = true
		r.at = len(r.b)
		return 0
	}
	r.at += k
	return int(v)
}

// count reads a number of things of at least size bytes each.
func (r *reader) count(size int) int { return r.below((len(r.b) - r.at) / size) }

func (r *reader) bytes() []byte {
	p, next, ok := bytesAt(r.b, r.at)
	if !ok {
		r.bad = true
		r.at = len(r.b)
		return nil
	}
	r.at = next
	return p
}
