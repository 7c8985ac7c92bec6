package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/varvedb/varve/model"
)

// # Segment format, version 1
//
// All fixed-width integers are little endian; uvarint and zigzag varint are those of encoding/binary. Every CRC is CRC-32C.
//
//	┌────────┬───────┬───────┬─────┬───────────────────┐
//	│ header │ group │ group │ ... │ close item (maybe)│
//	└────────┴───────┴───────┴─────┴───────────────────┘
//
// Header. Its magic, version, header length and final CRC keep their places in every future version, so that a
// damaged header and a newer one can be told apart. A reader that meets a version it does not know returns model.ErrVersion.
//
//	offset  bytes  field
//	     0      8  magic "VARVEWAL"
//	     8      2  version, 1
//	    10      1  kind: 0 log segment, 1 fence
//	    11      1  0
//	    12      4  header length h, CRC included
//	    16      8  generation
//	    24      8  seq
//	    32      8  prevValid
//	    40      1  length of the writer's id, then the id
//	            1  length of the adopter's id, then the id (empty but for a fence)
//	   h-4      4  CRC of all before
//
// prevValid is the length up to which the previous segment of the log counts (seq-1, or the last of generation-1). Where that segment
// was closed it is its whole length; where a write failed, or the process died, it is the end of its last good group, and whatever
// follows in the local file is void. 0 means unknown: there was no segment before, or none left. The shipped object of a segment is
// the valid part of the local file, byte for byte.
//
// Item. Groups and the close item have the same header of 20 bytes:
//
//	offset  bytes  field
//	     0      1  type: 1 group, 2 close
//	     1      1  flags; of a close item: bit 0 end mark (this is the last segment of the generation)
//	     2      2  0
//	     4      4  number of the item within the segment, from 0
//	     8      4  payload length n, at least 1
//	    12      4  CRC of the payload
//	    16      4  CRC of: the header's CRC (4 bytes), the item's offset in the segment (8), bytes 0 to 15
//	    20      n  payload
//
// The CRC of the item header binds it to its place, so that a header found anywhere behind a bad item proves that the
// bad one had been synced: it is damage then, not a torn tail. Each item is one write and one fsync, so at most the last can be torn.
//
// Group payload: records, one after another.
//
//	4        length of the body
//	1        length of the tenant's name, then the name
//	body     operations
//
// Operation: a tag byte, then what its parts ask for. Each record starts with ref −1 and time 0 as the "previous" ones.
//
//	bits 0-3  n = 0 to 8: a float sample whose value has n significant bytes; 9: a histogram; 10: a definition
//	bits 4-5  ref: 0 previous + 1; 1 previous; 2 a zigzag varint follows: ref − previous
//	bits 6-7  time: 0 previous; 1 a zigzag varint follows: time − previous (wrapping)
//
//	float       tag, [ref], [time], the n most significant bytes of the value's bits, little endian, the rest being zeroes
//	histogram   tag, [ref], [time], uvarint length, bytes
//	definition  tag (bits 4-7 zero), uvarint ref, uvarint number of labels, for each: uvarint length, name, uvarint length, value;
//	            it does not change the previous ref or time
//
// Counters and gauges scraped together cost 3 to 9 bytes each so, and encode in a few nanoseconds: most refs and times
// are "the next" and "the same", most values are integers with many zero bytes.
//
// Close item payload: the end index, by which a reader finds the records of one tenant without walking over the others'.
//
//	uvarint            number of tenants
//	for each tenant    uvarint length, name; uvarint number of records; for each record: uvarint offset in the segment − end of
//	                   the previous one of this tenant (0 for the first), uvarint length
//	8                  offset of the close item in the segment
//	4                  magic "VWND"
//
// A segment without a close item (its process died, or its disk failed) is as good; readers walk over its records then.
const (
	magic    = "VARVEWAL"
	endMagic = "VWND"
	version  = 1

	kindLog   = 0
	kindFence = 1

	headerFixed  = 40
	minHeader    = headerFixed + 2 + 4
	maxHeader    = minHeader + 2*255
	itemHeader   = 20
	trailerBytes = 12
	typeGroup    = 1
	typeClose    = 2
	flagEndMark  = 1
	recordHead   = 5 // of a record, tenant's name apart

	opHistogram  = 9
	opDefinition = 10

	refNext   = 0 << 4
	refSame   = 1 << 4
	refVarint = 2 << 4
	timeSame  = 0 << 6
	timeDelta = 1 << 6

	sizeMask = 0x0f
	refMask  = 0x30
	timeMask = 0xc0
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// header is a decoded segment header.
type header struct {
	fence           bool
	generation, seq uint64
	prevValid       uint64
	writer, adopter string
	length          int
	crc             uint32
}

func appendHeader(b []byte, h *header) []byte {
	start := len(b)
	kind := byte(kindLog)
	if h.fence {
		kind = kindFence
	}
	b = append(b, magic...)
	b = le.AppendUint16(b, version)
	b = append(b, kind, 0)
	b = le.AppendUint32(b, uint32(headerLength(h.writer, h.adopter)))
	b = le.AppendUint64(b, h.generation)
	b = le.AppendUint64(b, h.seq)
	b = le.AppendUint64(b, h.prevValid)
	b = append(append(b, byte(len(h.writer))), h.writer...)
	b = append(append(b, byte(len(h.adopter))), h.adopter...)
	return le.AppendUint32(b, checksum(b[start:]))
}

func headerLength(writer, adopter string) int { return minHeader + len(writer) + len(adopter) }

// parseHeader reads the header at the start of data. Its errors wrap ErrCorrupt or ErrVersion and name the offset.
func parseHeader(data []byte) (*header, error) {
	bad := func(off int, what string) (*header, error) {
		return nil, fmt.Errorf("header at offset %d: %s: %w", off, what, model.ErrCorrupt)
	}
	if len(data) < minHeader {
		return bad(0, fmt.Sprintf("%d bytes are too few", len(data)))
	}
	if string(data[:8]) != magic {
		return bad(0, "wrong magic")
	}
	n := int(le.Uint32(data[12:]))
	if n < minHeader || n > maxHeader && le.Uint16(data[8:]) <= version || n > len(data) {
		return bad(12, "wrong header length")
	}
	if checksum(data[:n-4]) != le.Uint32(data[n-4:]) {
		return bad(0, "wrong checksum")
	}
	if v := le.Uint16(data[8:]); v != version {
		return nil, fmt.Errorf("header at offset 8: segment format %d, this program reads up to %d: %w", v, version, model.ErrVersion)
	}
	h := &header{
		fence: data[10] == kindFence, generation: le.Uint64(data[16:]), seq: le.Uint64(data[24:]),
		prevValid: le.Uint64(data[32:]), length: n, crc: le.Uint32(data[n-4:]),
	}
	if data[10] > kindFence {
		return bad(10, "unknown kind")
	}
	writerLen := int(data[headerFixed])
	if minHeader+writerLen > n {
		return bad(headerFixed, "wrong name length")
	}
	at := headerFixed + 1 + writerLen
	h.writer = string(data[headerFixed+1 : at])
	if minHeader+writerLen+int(data[at]) != n {
		return bad(at, "wrong name length")
	}
	h.adopter = string(data[at+1 : n-4])
	return h, nil
}

// item is a decoded item header.
type item struct {
	typ, flags byte
	number     uint32
	length     uint32
	crc        uint32
}

// putItem writes the header of an item whose payload is p into b.
func putItem(b []byte, it item, p []byte, segment uint32, offset int64) {
	b[0], b[1], b[2], b[3] = it.typ, it.flags, 0, 0
	le.PutUint32(b[4:], it.number)
	le.PutUint32(b[8:], uint32(len(p)))
	le.PutUint32(b[12:], checksum(p))
	le.PutUint32(b[16:], itemCRC(b, segment, offset))
}

func itemCRC(b []byte, segment uint32, offset int64) uint32 {
	var place [12]byte
	le.PutUint32(place[:], segment)
	le.PutUint64(place[4:], uint64(offset))
	return crc32.Update(checksum(place[:]), castagnoli, b[:16])
}

// parseItem reads the item header at b, which lies at offset of the segment; false if it is none.
func parseItem(b []byte, segment uint32, offset int64) (item, bool) {
	if len(b) < itemHeader || b[0] != typeGroup && b[0] != typeClose || b[2] != 0 || b[3] != 0 {
		return item{}, false
	}
	if le.Uint32(b[16:]) != itemCRC(b, segment, offset) {
		return item{}, false
	}
	return item{b[0], b[1], le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])}, true
}

// SegmentKey is the name of a segment: its key in the bucket, and its path below the data directory but for the first part.
func SegmentKey(writer string, generation, seq uint64) string {
	return fmt.Sprintf("w/%s/%010d/%08d.wal", writer, generation, seq)
}

// ParseSegmentKey is the inverse of SegmentKey.
func ParseSegmentKey(key string) (writer string, generation, seq uint64, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 || !strings.HasSuffix(parts[3], ".wal") {
		return "", 0, 0, false
	}
	generation, err1 := strconv.ParseUint(parts[2], 10, 64)
	seq, err2 := strconv.ParseUint(strings.TrimSuffix(parts[3], ".wal"), 10, 64)
	if err1 != nil || err2 != nil || SegmentKey(parts[1], generation, seq) != key {
		return "", 0, 0, false
	}
	return parts[1], generation, seq, true
}

// MaxFenceBytes is the length that no fence exceeds.
const MaxFenceBytes = maxHeader

// FenceSegment is the content of a fence: the object that an adopter creates in place of the next segment of a dead
// writer, so that the writer, should it wake, can ship nothing more.
func FenceSegment(writer string, generation, seq uint64, adopter string) []byte {
	return appendHeader(nil, &header{fence: true, generation: generation, seq: seq, writer: writer, adopter: adopter})
}
