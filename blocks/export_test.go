package blocks

import (
	"context"
	"encoding/binary"
	"hash/crc32"
)

// ForgeMeta puts a right length and checksum around any body.
func ForgeMeta(version byte, body []byte) []byte {
	b := binary.AppendUvarint([]byte{version}, uint64(len(body)))
	b = append(b, body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

// ScanAtMost sets the bytes of series pages from which on postings are asked.
func (q *Query) ScanAtMost(n int64) *Query {
	q.scan = n
	return q
}

// ForgeChecksum puts the right checksum and magic where a copy of data has them, if it is long enough.
func ForgeChecksum(data []byte) []byte {
	data = append([]byte(nil), data...)
	if n := len(data) - int(min(parquetEnd(data), int64(len(data)))) - len(trailerMagic); n >= 4 {
		copy(data[n:], trailerMagic)
		binary.LittleEndian.PutUint32(data[n-4:], Checksum(data))
	}
	return data
}

// OpenGuessing is Open with another first guess at the length of the footer.
func OpenGuessing(ctx context.Context, r RangeReader, size, guess int64) (*Meta, error) {
	return openBlock(ctx, r, "key", size, guess)
}
