package catalog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"

	"github.com/varvedb/varve/model"
)

// The envelope of a catalog, root or roster object. Integers of fixed width are little-endian.
//
//	offset  width  field
//	0       4      magic: "VVcp" partition, "VVcr" root, "VVcw" roster, "VVcx" deletion, "VVcm" a writer's move
//	4       1      version of the payload: 1, or 2 for a partition that has rollups and for a deletion
//	5       4      length of the payload before compression, at most maxPayload
//	9       n      payload, one zstd frame
//	9+n     4      CRC-32C of everything before it
//
// The checksum is checked before anything is decompressed, and the version after it: a wrong checksum is
// model.ErrCorrupt, a higher version model.ErrVersion. Version 1 is the first, so nothing older is read; later ones read their
// predecessor. A partition is written in the lowest version that can say what it is. A program never rewrites an object of a version that it does not know, so unknown fields cannot get lost.
//
// The payload is a sequence of fields without tags: a change of the fields is a new version. Its vocabulary:
//
//	uvarint  unsigned varint of encoding/binary
//	varint   zigzag varint
//	string   uvarint length, bytes
//	list     uvarint count, elements
//	nonce    8 bytes
//
// All payloads of objects that are swapped begin with the head: uvarint generation, list of nonce (the trail, newest last, 1 to TrailLength). Lists are sorted as
// the fields of the Go types say, so that equal states have equal payloads. The payloads are described at
// appendPayload of each type.
const (
	versionFirst   = 1
	versionRollups = 2 // of partitions
	versionRepeats = 2 // of deletions
	envelopeHead   = 9
	envelopeTail   = 4
	// maxPayload bounds what a reader decompresses. 4 MiB of catalog are about 16 MiB of payload.
	maxPayload = 32 << 20
)

// kind is what an object holds, its value the magic.
type kind string

const (
	kindPartition kind = "VVcp"
	kindRoot      kind = "VVcr"
	kindRoster    kind = "VVcw"
	kindDeletion  kind = "VVcx"
)

// newestVersion is the highest version of the kind's payload that is read.
func newestVersion(k kind) byte {
	switch k {
	case kindPartition:
		return versionRollups
	case kindDeletion:
		return versionRepeats
	}
	return versionFirst
}

// codec wraps payloads into envelopes and back. Safe for concurrent use.
type codec struct {
	enc   *zstd.Encoder
	dec   *zstd.Decoder
	table *crc32.Table
}

func newCodec() *codec {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2))
	if err != nil {
		panic("bug: catalog: zstd options: " + err.Error())
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxPayload), zstd.WithDecoderMaxWindow(maxPayload))
	if err != nil {
		panic("bug: catalog: zstd options: " + err.Error())
	}
	return &codec{enc: enc, dec: dec, table: crc32.MakeTable(crc32.Castagnoli)}
}

// seal encodes a state.
func (c *codec) seal(st storable) ([]byte, error) {
	version := byte(versionFirst)
	if p, ok := st.(*Partition); ok {
		version = p.version()
	}
	return c.sealVersion(st.kind(), version, st.appendPayload(appendHead(nil, st.head())))
}

// sealPayload wraps a payload of the first version.
func (c *codec) sealPayload(kind kind, payload []byte) ([]byte, error) {
	return c.sealVersion(kind, versionFirst, payload)
}

func (c *codec) sealVersion(kind kind, version byte, payload []byte) ([]byte, error) {
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("payload has %d bytes, at most %d are allowed: %w", len(payload), maxPayload, errTooLarge)
	}
	b := append(make([]byte, 0, envelopeHead+len(payload)/2+64), kind...)
	b = append(b, version)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = c.enc.EncodeAll(payload, b)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, c.table)), nil
}

// open checks an envelope and returns a decoder of its payload.
func (c *codec) open(data []byte, want kind) (*decoder, error) {
	if len(data) < envelopeHead+envelopeTail {
		return nil, fmt.Errorf("object of %d bytes is too short: %w", len(data), model.ErrCorrupt)
	}
	body, sum := data[:len(data)-envelopeTail], binary.LittleEndian.Uint32(data[len(data)-envelopeTail:])
	if got := crc32.Checksum(body, c.table); got != sum {
		return nil, fmt.Errorf("checksum is %08x, stored %08x: %w", got, sum, model.ErrCorrupt)
	}
	if string(body[:4]) != string(want) {
		return nil, fmt.Errorf("magic is %q, want %q: %w", body[:4], string(want), model.ErrCorrupt)
	}
	if newest := newestVersion(want); body[4] < versionFirst || body[4] > newest {
		return nil, fmt.Errorf("object has format version %d, this program reads %d: %w", body[4], newest, model.ErrVersion)
	}
	size := int(binary.LittleEndian.Uint32(body[5:]))
	frame := body[envelopeHead:]
	if size > maxPayload {
		return nil, fmt.Errorf("payload of %d bytes, at most %d are allowed: %w", size, maxPayload, model.ErrCorrupt)
	}
	// The stated length is believed as far as the frame makes it likely; beyond that the buffer grows with what really comes.
	payload, err := c.dec.DecodeAll(frame, make([]byte, 0, min(size, 16*len(frame)+1024)))
	if err != nil {
		return nil, fmt.Errorf("decompress payload: %w: %w", err, model.ErrCorrupt)
	}
	if len(payload) != size {
		return nil, fmt.Errorf("payload has %d bytes, stated %d: %w", len(payload), size, model.ErrCorrupt)
	}
	return &decoder{b: payload, version: body[4]}, nil
}
