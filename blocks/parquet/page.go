package parquet

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/varvedb/varve/internal/page"
)

// encoding is a data encoding by its number in the Parquet format.
type encoding int32

const (
	encPlain      encoding = 0
	encRLE        encoding = 3 // of the levels, of which there are none
	encDelta      encoding = 5
	encDictionary encoding = 8
)

// Types of pages by their numbers in the Parquet format.
const (
	typeData       = 0
	typeDictionary = 2
)

// pageHead is what varies in the head of a page.
type pageHead struct {
	dictionary  bool
	encoding    encoding
	values      int
	raw, stored int
	crc         uint32
}

// appendHead appends the head in the compact protocol of thrift: the struct PageHeader with the fields type, uncompressed size,
// compressed size, CRC, and the header of a data page (version 1) or of a dictionary page. Each has exactly one form.
func appendHead(dst []byte, h *pageHead) []byte {
	const (
		nextI32     = 0x15 // the next field, an i32
		nextStruct  = 0x1c // the next field, a struct
		thirdStruct = 0x3c // the third field from here, a struct
		stop        = 0
	)
	typ, body := int32(typeData), byte(nextStruct)
	if h.dictionary {
		typ, body = typeDictionary, thirdStruct
	}
	for _, x := range [...]int32{typ, int32(h.raw), int32(h.stored), int32(h.crc)} {
		dst = binary.AppendVarint(append(dst, nextI32), int64(x))
	}
	dst = binary.AppendVarint(append(dst, body, nextI32), int64(h.values))
	dst = binary.AppendVarint(append(dst, nextI32), int64(h.encoding))
	if !h.dictionary {
		dst = binary.AppendVarint(append(dst, nextI32), int64(encRLE))
		dst = binary.AppendVarint(append(dst, nextI32), int64(encRLE))
	}
	return append(dst, stop, stop)
}

// maxHead is the longest head of a page.
const maxHead = 48

// appendPage appends a page: head and compressed content. It returns the size that Parquet calls uncompressed, head
// included, besides.
func appendPage(dst []byte, z *page.Encoder, h pageHead, raw []byte, scratch *[]byte) ([]byte, int64) {
	*scratch = z.Compress((*scratch)[:0], raw)
	h.raw, h.stored = len(raw), len(*scratch)
	h.crc = crc32.ChecksumIEEE(*scratch)
	at := len(dst)
	dst = appendHead(dst, &h)
	headSize := len(dst) - at
	return append(dst, *scratch...), int64(headSize + len(raw))
}

// openPage checks a data page that fills b and returns its content of at most limit bytes, in the memory of buf if that suffices. Everything in the page but
// its content is compared with what a Writer writes for so many values in that encoding, so no bit of it can differ unseen.
func openPage(buf, b []byte, enc encoding, values, limit int) ([]byte, error) {
	d := decoder{b: b}
	h := pageHead{encoding: enc, values: values}
	for i, x := range [...]*int{nil, &h.raw, &h.stored, nil} {
		d.u8()
		v := d.varint()
		switch {
		case x != nil:
			if v < 0 || v > int64(max(limit, len(b))) {
				d.fail()
			}
			*x = int(v)
		case i == 3:
			h.crc = uint32(v)
		}
	}
	if d.bad || h.stored > len(b) || h.raw > limit {
		return nil, corrupt("head of a page of %d bytes", len(b))
	}
	var head [maxHead]byte
	if !bytes.HasPrefix(b, appendHead(head[:0], &h)) {
		return nil, corrupt("head of a page of %d values", values)
	}
	body := b[len(b)-h.stored:]
	if n := len(appendHead(head[:0], &h)); n+h.stored != len(b) {
		return nil, corrupt("page of %d and %d bytes in %d", n, h.stored, len(b))
	}
	if got := crc32.ChecksumIEEE(body); got != h.crc {
		return nil, corrupt("page checksum %08x, head says %08x", got, h.crc)
	}
	return page.Inflate(buf, body, h.raw)
}
