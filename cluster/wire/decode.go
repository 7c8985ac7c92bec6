package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// answer is a decoded body.
type answer struct {
	writer   string
	series   []*series
	warnings []string
}

// decodeAnswer reads a whole body. What it keeps never exceeds maxBytes, and never a multiple of what really arrived.
func decodeAnswer(body io.Reader, maxBytes int64) (*answer, error) {
	r := bufio.NewReaderSize(body, 64<<10)
	head := make([]byte, len(magic)+1)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, cut(err)
	}
	if string(head[:len(magic)]) != magic {
		return nil, fmt.Errorf("answer begins with %q, want %q: %w", head[:len(magic)], magic, model.ErrCorrupt)
	}
	if v := head[len(magic)]; v != version {
		return nil, fmt.Errorf("answer in version %d of the select format, this process reads %d; upgrade it first: %w", v, version, model.ErrVersion)
	}
	a := &answer{}
	d := decoder{answer: a, left: maxBytes}
	for first := true; ; first = false {
		payload, err := readFrame(r)
		if err != nil {
			return nil, err
		}
		done, err := d.frame(payload, first)
		if err != nil || done {
			return a, err
		}
	}
}

// cut explains a body that ended too early.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("answer was cut off: %w", model.ErrUnavailable)
	}
	return fmt.Errorf("read answer: %w: %w", err, model.ErrUnavailable)
}

// readFrame returns the payload of the next frame, in memory of its own. A large one is read in steps, so that a
// length alone allocates little.
func readFrame(r io.Reader) ([]byte, error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, cut(err)
	}
	n, crc := int(binary.LittleEndian.Uint32(head[:])), binary.LittleEndian.Uint32(head[4:])
	if n == 0 || n > maxFrame {
		return nil, fmt.Errorf("frame of %d bytes, want 1 to %d: %w", n, maxFrame, model.ErrCorrupt)
	}
	payload := make([]byte, 0, min(n, 512<<10))
	for len(payload) < n {
		step := min(n-len(payload), 512<<10)
		at := len(payload)
		payload = append(payload, make([]byte, step)...)
		if _, err := io.ReadFull(r, payload[at:]); err != nil {
			return nil, cut(err)
		}
	}
	if got := crc32.Checksum(payload, castagnoli); got != crc {
		return nil, fmt.Errorf("frame of %d bytes has checksum %08x, want %08x: %w", n, got, crc, model.ErrCorrupt)
	}
	return payload, nil
}

// decoder takes frames in their order.
type decoder struct {
	answer *answer
	left   int64
}

func (d *decoder) frame(payload []byte, first bool) (done bool, err error) {
	kind, b := payload[0], &buffer{b: payload[1:]}
	if first != (kind == frameHello) {
		return false, fmt.Errorf("frame of kind %d, first %t: %w", kind, first, model.ErrCorrupt)
	}
	if d.left -= int64(len(payload)); d.left < 0 {
		return false, fmt.Errorf("the answer is over the limit of this query: %w", model.ErrLimit)
	}
	switch kind {
	case frameHello:
		d.answer.writer = b.string()
	case frameSeries:
		for len(b.b) > 0 && b.err == nil {
			d.piece(b)
		}
	case frameWarning:
		d.answer.warnings = append(d.answer.warnings, b.string())
	case frameError:
		kind, message := b.string(), b.string()
		if b.err == nil {
			return true, errorOf(kind, message)
		}
	case frameEnd:
		if n := b.uvarint(); b.err == nil && n != uint64(len(d.answer.series)) {
			return false, fmt.Errorf("answer ends after %d series, has %d: %w", n, len(d.answer.series), model.ErrCorrupt)
		}
		done = true
	default:
		return false, fmt.Errorf("frame of unknown kind %d: %w", kind, model.ErrCorrupt)
	}
	if b.err == nil && len(b.b) > 0 {
		b.fail("bytes left over")
	}
	if b.err != nil {
		return false, fmt.Errorf("frame of kind %d: %w", kind, b.err)
	}
	return done, nil
}

// piece reads one piece of a series.
func (d *decoder) piece(b *buffer) {
	flags := b.byte()
	if flags&^(flagMore|flagHistograms) != 0 {
		b.fail("unknown flags")
		return
	}
	var s *series
	if all := d.answer.series; flags&flagMore != 0 {
		if len(all) == 0 {
			b.fail("more of no series")
			return
		}
		s = all[len(all)-1]
	} else {
		s = &series{labels: b.labels()}
		if len(all) > 0 && labels.Compare(all[len(all)-1].labels, s.labels) >= 0 {
			b.fail("series out of order")
		}
		if b.err != nil {
			return
		}
		d.answer.series = append(all, s)
	}
	before := s.columns.Len()
	b.samples(&s.columns, flags&flagHistograms != 0)
	// What a sample takes here beyond the bytes of its frame, so that the limit is one of memory.
	d.left -= int64(s.columns.Len()-before) * 16
	for i := max(before, 1); i < s.columns.Len(); i++ {
		if s.columns.T[i] <= s.columns.T[i-1] {
			b.fail("samples out of order")
			return
		}
	}
}

// buffer reads a payload; the first error sticks.
type buffer struct {
	b   []byte
	err error
}

func (b *buffer) fail(what string) {
	if b.err == nil {
		b.err = fmt.Errorf("%s: %w", what, model.ErrCorrupt)
	}
	b.b = nil
}

func (b *buffer) byte() byte {
	if len(b.b) == 0 {
		b.fail("cut off")
		return 0
	}
	c := b.b[0]
	b.b = b.b[1:]
	return c
}

func (b *buffer) uvarint() uint64 {
	v, n := binary.Uvarint(b.b)
	if n <= 0 {
		b.fail("number cut off")
		return 0
	}
	b.b = b.b[n:]
	return v
}

func (b *buffer) varint() int64 {
	v, n := binary.Varint(b.b)
	if n <= 0 {
		b.fail("number cut off")
		return 0
	}
	b.b = b.b[n:]
	return v
}

// bytes returns the next n bytes; they alias the payload.
func (b *buffer) bytes(n uint64) []byte {
	if n > uint64(len(b.b)) {
		b.fail("length beyond the frame")
		return nil
	}
	s := b.b[:n:n]
	b.b = b.b[n:]
	return s
}

func (b *buffer) string() string { return string(b.bytes(b.uvarint())) }

func (b *buffer) labels() labels.Labels {
	n := b.uvarint()
	if n > uint64(len(b.b))/2 {
		b.fail("more labels than bytes")
		return labels.EmptyLabels()
	}
	sb := labels.NewScratchBuilder(int(n))
	prev := ""
	for i := range n {
		name, value := b.string(), b.string()
		if i > 0 && name <= prev && b.err == nil {
			b.fail("labels out of order")
		}
		if b.err != nil {
			return labels.EmptyLabels()
		}
		sb.Add(name, value)
		prev = name
	}
	return sb.Labels()
}

func (b *buffer) samples(c *model.Columns, histograms bool) {
	n := b.uvarint()
	// The least a sample takes: one byte of time, eight of value.
	if n > uint64(len(b.b))/9 {
		b.fail("more samples than bytes")
		return
	}
	t := int64(0)
	for range n {
		t += b.varint()
		c.T = append(c.T, t)
	}
	values := b.bytes(8 * n)
	if b.err != nil {
		c.T = c.T[:len(c.V)]
		return
	}
	for ; len(values) > 0; values = values[8:] {
		c.V = append(c.V, math.Float64frombits(binary.LittleEndian.Uint64(values)))
	}
	if histograms && c.H == nil {
		c.H = make([][]byte, len(c.T)-int(n), len(c.T))
	}
	if c.H == nil {
		return
	}
	for range n {
		var h []byte
		if histograms {
			if l := b.uvarint(); l > 0 {
				h = b.bytes(l - 1)
			}
		}
		c.H = append(c.H, h)
	}
}
