// Package page frames pages: compressed, checksummed runs of chunks, series entries or
// postings, the unit of a GET. The index section (room index) and the hot block (room blocks/native) consist of pages.
//
// A page on disk is a head of HeadSize bytes and a payload:
//
//	offset  width
//	0       u8      kind, a letter (see Kind)
//	1       u8      codec: 0 stored, 1 zstd (one frame, no dictionary)
//	2       u32     length of the raw content
//	6       u32     length of the payload
//	10      u32     CRC-32C of bytes 0 to 9 and the payload
//	14              payload
//
// Integers are little endian. The checksum covers the head, so that a flipped bit in a length or kind is found too.
// An unknown codec gives model.ErrVersion. Raw content is at most MaxRaw bytes; a reader refuses
// more before it allocates, and decompression never writes past the length in the head.
//
// Functions here keep no state that callers could see; zstd coders are shared because
// each owns some hundred KiB of tables. Everything may be used concurrently except an Encoder. Nothing here starts a goroutine or
// makes a channel while it decodes, so pages can be read inside a testing/synctest bubble and outside at one time; encoding
// is for outside.
package page

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/varvedb/varve/model"
)

// Kind says what a page holds.
type Kind byte

// The kinds of pages.
const (
	Chunks   Kind = 'C'
	Runs     Kind = 'R'
	Series   Kind = 'L' // 'S' in version 1 of the index section
	Postings Kind = 'P'
	Head     Kind = 'D' // 'H' in version 1
)

const (
	// HeadSize is the length of the head of a page.
	HeadSize = 14
	// MaxRaw is the largest raw content of a page.
	MaxRaw = 32 << 20

	codecStored = 0
	codecZstd   = 1
)

// Encoder makes pages. Not safe for concurrent use; Close gives its memory back.
type Encoder struct{ z *zstd.Encoder }

// NewEncoder returns an encoder.
func NewEncoder() *Encoder { return &Encoder{z: encoders.Get().(*zstd.Encoder)} }

// Close ends the use of the encoder.
func (e *Encoder) Close() {
	if e.z != nil {
		encoders.Put(e.z)
		e.z = nil
	}
}

// Append appends raw as a page to dst. Raw must not be longer than MaxRaw.
func (e *Encoder) Append(dst []byte, kind Kind, raw []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, HeadSize)...)
	dst = e.z.EncodeAll(raw, dst)
	codec := byte(codecZstd)
	if len(dst)-start-HeadSize >= len(raw) {
		dst, codec = append(dst[:start+HeadSize], raw...), codecStored
	}
	head := dst[start:]
	head[0], head[1] = byte(kind), codec
	binary.LittleEndian.PutUint32(head[2:], uint32(len(raw)))
	binary.LittleEndian.PutUint32(head[6:], uint32(len(head)-HeadSize))
	binary.LittleEndian.PutUint32(head[10:], sum(head))
	return dst
}

func sum(p []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(p[:10], t), t, p[HeadSize:])
}

// Length returns the length of the page at the start of b, head included, and of its raw content, from the
// head alone. Both are unchecked but for their bounds.
func Length(b []byte) (size, raw int, err error) {
	if len(b) < HeadSize {
		return 0, 0, fmt.Errorf("page head of %d bytes: %w", len(b), model.ErrCorrupt)
	}
	r, n := binary.LittleEndian.Uint32(b[2:]), binary.LittleEndian.Uint32(b[6:])
	if r > MaxRaw || n > MaxRaw || int(n) > len(b)-HeadSize {
		return 0, 0, fmt.Errorf("page of %d raw and %d stored bytes in %d: %w", r, n, len(b), model.ErrCorrupt)
	}
	return HeadSize + int(n), int(r), nil
}

// Stored returns the length of a page, head included, from its first HeadSize bytes, for who reads pages one after another and has yet to
// read the rest. It is unchecked but for its bound.
func Stored(head []byte) (int, error) {
	if len(head) < HeadSize {
		return 0, fmt.Errorf("page head of %d bytes: %w", len(head), model.ErrCorrupt)
	}
	n := binary.LittleEndian.Uint32(head[6:])
	if n > MaxRaw {
		return 0, fmt.Errorf("page of %d stored bytes: %w", n, model.ErrCorrupt)
	}
	return HeadSize + int(n), nil
}

// Decode checks the page at the start of b and returns its raw content and its length. The content is in the memory of
// dst if that is large enough; it never aliases b. Errors wrap model.ErrCorrupt or model.ErrVersion.
func Decode(dst, b []byte, kind Kind) (raw []byte, size int, err error) {
	size, n, err := Length(b)
	if err != nil {
		return nil, 0, err
	}
	p := b[:size]
	if got := sum(p); got != binary.LittleEndian.Uint32(p[10:]) {
		return nil, 0, fmt.Errorf("page checksum: %w", model.ErrCorrupt)
	}
	if p[0] != byte(kind) {
		return nil, 0, fmt.Errorf("page of kind %q, want %q: %w", p[0], byte(kind), model.ErrCorrupt)
	}
	switch p[1] {
	case codecStored:
		if n != size-HeadSize {
			return nil, 0, fmt.Errorf("stored page of %d bytes, head says %d: %w", size-HeadSize, n, model.ErrCorrupt)
		}
		return append(dst[:0], p[HeadSize:]...), size, nil
	case codecZstd:
		raw, err = inflate(dst, p[HeadSize:], n)
		return raw, size, err
	}
	return nil, 0, fmt.Errorf("page codec %d: %w", p[1], model.ErrVersion)
}

func inflate(dst, payload []byte, n int) ([]byte, error) {
	if cap(dst) < n {
		dst = make([]byte, 0, n)
	}
	raw, err := decoder.DecodeAll(payload, dst[:0:n])
	if err != nil || len(raw) != n {
		return nil, fmt.Errorf("page zstd (%d of %d bytes, %v): %w", len(raw), n, err, model.ErrCorrupt)
	}
	// The limit kept raw in dst. Memory that is lent again and again must not shrink to the page decoded last.
	return dst[:n], nil
}

// GetBuffer returns memory for the raw content of a page. PutBuffer takes it back, grown or not.
func GetBuffer() *[]byte { return buffers.Get().(*[]byte) }

// PutBuffer ends the use of a buffer and of everything that aliases it.
func PutBuffer(b *[]byte) {
	if cap(*b) <= maxPooled {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// maxPooled keeps rare giants out of the pool.
const maxPooled = 1 << 20

// Pools of coders and buffers, not state: an element is as good as a new one.
var (
	buffers = sync.Pool{New: func() any { b := make([]byte, 0, 320<<10); return &b }}

	encoders = sync.Pool{New: func() any {
		// Residuals of noisy series have few matches but a skewed distribution: without entropy coding of all literals, which this
		// level leaves out, pages of them would be stored as they are, 7 % more of generated data.
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithAllLitEntropyCompression(true), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic("page: options of the zstd encoder: " + err.Error())
		}
		return z
	}}

	// decoder has tables for as many calls at a time as can run, and others wait for one. It is made with the package: the queue of its
	// tables is a channel, and one made within a test's bubble could not leave it.
	decoder = newDecoder()
)

func newDecoder() *zstd.Decoder {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(MaxRaw), zstd.WithDecoderMaxWindow(MaxRaw))
	if err != nil {
		panic("page: options of the zstd decoder: " + err.Error())
	}
	return z
}
