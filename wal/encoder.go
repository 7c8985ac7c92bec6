package wal

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// maxRecord bounds one record, and so what a reader must take for plausible.
const maxRecord = 64 << 20

// maxAppend bounds what one Append may add to a group, whose length is 32 bits wide.
const maxAppend = 1 << 30

// maxSampleBytes bounds the encoding of a float sample: tag, ref, time, value, written 8 bytes wide.
const maxSampleBytes = 1 + 5 + binary.MaxVarintLen64 + 8

// Encoder writes the records of one Append. It is valid only within the function that Append calls, on that goroutine.
type Encoder struct {
	generation uint64
	buf        []byte // the pending group, room for its item header first

	start   int // of the record being written, -1 before the first
	body    int
	tenant  string
	ref     int64
	t       int64
	records []recordSpan
	err     error
}

// recordSpan is where a record lies in its group (or, in an index, in its segment), header included.
type recordSpan struct {
	tenant      string
	off, length int
}

// Generation is the generation that the records will belong to, hence the one whose refs count.
func (e *Encoder) Generation() uint64 { return e.generation }

// Begin starts a record of the tenant. Everything until the next Begin belongs to it.
func (e *Encoder) Begin(tenant string) {
	e.endRecord()
	if tenant == "" || len(tenant) > 255 {
		e.fail(fmt.Errorf("tenant of %d bytes: %w", len(tenant), model.ErrInvalid))
		tenant = "invalid"
	}
	e.start, e.tenant = len(e.buf), tenant
	e.buf = append(e.buf, 0, 0, 0, 0, byte(len(tenant)))
	e.buf = append(e.buf, tenant...)
	e.body = len(e.buf)
	e.ref, e.t = -1, 0
}

// Define says which series ref is, before the ref's first use in the generation.
func (e *Encoder) Define(ref uint32, ls labels.Labels) {
	b := append(e.buf, opDefinition)
	b = binary.AppendUvarint(b, uint64(ref))
	b = binary.AppendUvarint(b, uint64(ls.Len()))
	ls.Range(func(l labels.Label) {
		b = binary.AppendUvarint(b, uint64(len(l.Name)))
		b = append(b, l.Name...)
		b = binary.AppendUvarint(b, uint64(len(l.Value)))
		b = append(b, l.Value...)
	})
	e.buf = b
}

// Sample adds a float sample.
func (e *Encoder) Sample(ref uint32, t int64, v float64) {
	b := e.buf
	if cap(b)-len(b) < maxSampleBytes {
		b = slices.Grow(b, maxSampleBytes)
	}
	at := len(b)
	b = b[:at+maxSampleBytes]
	value := math.Float64bits(v)
	n := 8 - bits.TrailingZeros64(value)/8 // 0 for +0: TrailingZeros64(0) is 64
	var tag byte
	end := at + 1
	if r := int64(ref); r == e.ref+1 {
		tag = refNext
	} else {
		tag, end = e.putRef(b, end, r)
	}
	e.ref = int64(ref)
	if t != e.t {
		tag |= timeDelta
		end += binary.PutVarint(b[end:], t-e.t)
		e.t = t
	}
	b[at] = tag | byte(n)
	le.PutUint64(b[end:], value>>(uint(8-n)*8))
	e.buf = b[:end+n]
}

// putRef writes any ref but the next one.
func (e *Encoder) putRef(b []byte, at int, ref int64) (tag byte, end int) {
	if ref == e.ref {
		return refSame, at
	}
	return refVarint, at + binary.PutVarint(b[at:], ref-e.ref)
}

// Histogram adds a native histogram sample, whose bytes the log does not look into.
func (e *Encoder) Histogram(ref uint32, t int64, h []byte) {
	var head [maxSampleBytes]byte
	tag, end := byte(refNext), 1
	if r := int64(ref); r != e.ref+1 {
		tag, end = e.putRef(head[:], end, r)
	}
	e.ref = int64(ref)
	if t != e.t {
		tag |= timeDelta
		end += binary.PutVarint(head[end:], t-e.t)
		e.t = t
	}
	head[0] = tag | opHistogram
	e.buf = append(e.buf, head[:end]...)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(h)))
	e.buf = append(e.buf, h...)
}

func (e *Encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// endRecord completes the record being written; one without a body is dropped.
func (e *Encoder) endRecord() {
	if e.start < 0 {
		return
	}
	n := len(e.buf) - e.body
	switch {
	case n == 0:
		e.buf = e.buf[:e.start]
	case n > maxRecord:
		e.fail(fmt.Errorf("record of %d bytes, at most %d: %w", n, maxRecord, model.ErrLimit))
	default:
		le.PutUint32(e.buf[e.start:], uint32(n))
		e.records = append(e.records, recordSpan{e.tenant, e.start, len(e.buf) - e.start})
	}
	e.start = -1
}

// encode runs enc on a group's buffer. If enc fails or panics, the buffer is as before.
func (e *Encoder) encode(g *group, enc func(*Encoder)) (err error) {
	mark, records := len(g.buf), len(g.records)
	e.generation, e.buf, e.records, e.start, e.err = g.generation, g.buf, g.records, -1, nil
	done := false
	defer func() {
		g.buf, g.records = e.buf, e.records
		if !done || err != nil {
			g.buf, g.records = e.buf[:mark], e.records[:records]
		}
		e.buf, e.records, e.tenant = nil, nil, ""
	}()
	enc(e)
	if e.start < 0 && len(e.buf) > mark && len(e.records) == records && e.err == nil {
		e.fail(fmt.Errorf("record without Begin: %w", model.ErrInvalid))
	}
	e.endRecord()
	if n := len(e.buf) - mark; n > maxAppend {
		e.fail(fmt.Errorf("append of %d bytes, at most %d: %w", n, maxAppend, model.ErrLimit))
	}
	done = true
	return e.err
}
