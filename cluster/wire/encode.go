package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

const (
	magic   = "VSEL"
	version = 1

	frameHello   = 1
	frameSeries  = 2
	frameWarning = 3
	frameError   = 4
	frameEnd     = 5

	flagMore       = 1
	flagHistograms = 2

	frameHeader = 8
	// maxFrame is what a reader accepts; a writer closes a frame of series at softFrame, and puts at most pieceSamples
	// or pieceBytes of histograms into one piece, so that only monstrous labels come near the limit.
	maxFrame     = 16 << 20
	softFrame    = 256 << 10
	pieceSamples = 16 << 10
	pieceBytes   = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encoder writes an answer. Errors of w stick and are returned by every later call.
type encoder struct {
	w io.Writer
	// buf is the frame being built: room for the header, then the payload.
	buf []byte
	err error
}

func newEncoder(w io.Writer, writer string) *encoder {
	e := &encoder{w: w}
	_, e.err = w.Write(append([]byte(magic), version))
	e.begin(frameHello)
	e.buf = appendString(e.buf, writer)
	e.send()
	return e
}

func (e *encoder) begin(kind byte) {
	e.buf = append(e.buf[:0], make([]byte, frameHeader)...)
	e.buf = append(e.buf, kind)
}

// send writes the frame that was begun and returns to none.
func (e *encoder) send() {
	if e.err != nil || len(e.buf) == 0 {
		return
	}
	payload := e.buf[frameHeader:]
	if len(payload) > maxFrame {
		e.err = fmt.Errorf("a frame of %d bytes, at most %d: %w", len(payload), maxFrame, model.ErrLimit)
		return
	}
	binary.LittleEndian.PutUint32(e.buf, uint32(len(payload)))
	binary.LittleEndian.PutUint32(e.buf[4:], crc32.Checksum(payload, castagnoli))
	_, e.err = e.w.Write(e.buf)
	e.buf = e.buf[:0]
}

// series adds one series, in one piece or several.
func (e *encoder) series(ls labels.Labels, c *model.Columns) error {
	for first := 0; first == 0 || first < c.Len(); {
		n := pieceLen(c, first)
		if len(e.buf) == 0 {
			e.begin(frameSeries)
		}
		e.piece(ls, c, first, first+n)
		first += max(n, 1)
		if len(e.buf) >= softFrame {
			e.send()
		}
	}
	return e.err
}

// pieceLen is how many samples from the given one on fit one piece.
func pieceLen(c *model.Columns, first int) int {
	n := min(c.Len()-first, pieceSamples)
	if c.H == nil {
		return n
	}
	for size, i := 0, 0; i < n; i++ {
		if size += len(c.H[first+i]); size > pieceBytes && i > 0 {
			return i
		}
	}
	return n
}

func (e *encoder) piece(ls labels.Labels, c *model.Columns, first, end int) {
	b := e.buf
	var flags byte
	if first > 0 {
		flags |= flagMore
	}
	if c.H != nil {
		flags |= flagHistograms
	}
	b = append(b, flags)
	if first == 0 {
		b = binary.AppendUvarint(b, uint64(ls.Len()))
		ls.Range(func(l labels.Label) {
			b = appendString(b, l.Name)
			b = appendString(b, l.Value)
		})
	}
	b = binary.AppendUvarint(b, uint64(end-first))
	prev := int64(0)
	for _, t := range c.T[first:end] {
		b = binary.AppendVarint(b, t-prev)
		prev = t
	}
	for _, v := range c.V[first:end] {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	if c.H != nil {
		for _, h := range c.H[first:end] {
			if h == nil {
				b = append(b, 0)
				continue
			}
			b = binary.AppendUvarint(b, uint64(len(h))+1)
			b = append(b, h...)
		}
	}
	e.buf = b
}

// frame sends what is pending, then one small frame.
func (e *encoder) frame(kind byte, strings ...string) error {
	e.send()
	e.begin(kind)
	for _, s := range strings {
		e.buf = appendString(e.buf, s)
	}
	e.send()
	return e.err
}

func (e *encoder) end(series int) error {
	e.send()
	e.begin(frameEnd)
	e.buf = binary.AppendUvarint(e.buf, uint64(series))
	e.send()
	return e.err
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
