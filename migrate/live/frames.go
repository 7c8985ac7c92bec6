package live

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// maxFrameBytes bounds a frame. Servers make them of a megabyte, and some bytes more for a large chunk.
const maxFrameBytes = 16 << 20

// frames reads the frames of a streamed answer of remote read, which are written one behind the other:
//
//	length    uvarint, of the data
//	checksum  4 bytes, CRC-32 (Castagnoli) of the data, big-endian
//	data      a ChunkedReadResponse
//
// It allocates as the bytes come, whatever the length says. An answer that ends within a frame is io.ErrUnexpectedEOF, wherever that is.
type frames struct {
	in   *bufio.Reader
	data []byte
}

func newFrames(in io.Reader) *frames { return &frames{in: bufio.NewReaderSize(in, 64<<10)} }

// errFrame: a frame cannot be one.
var errFrame = errors.New("damaged frame")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// next returns the data of the next frame, valid until the next call; io.EOF behind the last.
func (f *frames) next() ([]byte, error) {
	if _, err := f.in.Peek(1); err != nil {
		return nil, err
	}
	size, err := binary.ReadUvarint(f.in)
	if err != nil {
		return nil, fmt.Errorf("%w: length: %w", errFrame, inside(err))
	}
	if size > maxFrameBytes {
		return nil, fmt.Errorf("%w: it says that it has %d bytes, at most %d", errFrame, size, maxFrameBytes)
	}
	var sum [4]byte
	if _, err := io.ReadFull(f.in, sum[:]); err != nil {
		return nil, inside(err)
	}
	if err := f.fill(int(size)); err != nil {
		return nil, inside(err)
	}
	if got, want := crc32.Checksum(f.data, castagnoli), binary.BigEndian.Uint32(sum[:]); got != want {
		return nil, fmt.Errorf("%w: checksum %08x, want %08x", errFrame, got, want)
	}
	return f.data, nil
}

// fill reads n bytes.
func (f *frames) fill(n int) error {
	const step = 1 << 20
	f.data = f.data[:0]
	for len(f.data) < n {
		begin := len(f.data)
		more := min(n-begin, step)
		if cap(f.data) < begin+more {
			f.data = append(f.data, make([]byte, more)...)
		} else {
			f.data = f.data[:begin+more]
		}
		if _, err := io.ReadFull(f.in, f.data[begin:]); err != nil {
			return err
		}
	}
	return nil
}

// inside is the error of reading within something: there the end is not expected.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
