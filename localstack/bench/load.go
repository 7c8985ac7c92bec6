package main

import (
	"encoding/binary"
	"math"

	"github.com/klauspost/compress/snappy"
)

// A load is what is to be sent: one list of requests for each sender, to be sent in order.
type load struct {
	name string
	// metric is one for the cold query; from and to bound the time of all samples.
	metric   string
	from, to int64
	queries  []query
	senders  [][]request
	samples  int64
	series   int64
	bytes    int64
}

// A request is one encoded body of remote write 1.0.
type request struct {
	body    []byte
	samples int
	// at is the time of the last sample.
	at int64
}

func (l *load) requests() (n int) {
	for _, s := range l.senders {
		n += len(s)
	}
	return n
}

// add appends a sender with its requests.
func (l *load) add(requests []request) {
	l.senders = append(l.senders, requests)
	for _, r := range requests {
		l.samples += int64(r.samples)
		l.bytes += int64(len(r.body))
	}
}

// An encoder collects time series messages into requests of about batch samples.
//
// The messages are written by hand, because the labels of a series are encoded once and used at each scrape. The
// fields used are WriteRequest.timeseries = 1, TimeSeries.labels = 1, TimeSeries.samples = 2,
// Label.name = 1, Label.value = 2, Sample.value = 1 (double), Sample.timestamp = 2 (varint).
type encoder struct {
	batch    int
	message  []byte
	pending  int
	at       int64 // of the last sample
	requests []request
	wire     *wireEncoder // nil is what Prometheus sends
}

// Tags of protobuf: field number and wire type.
const (
	tagBytes1  = 1<<3 | 2
	tagBytes2  = 2<<3 | 2
	tagDouble1 = 1<<3 | 1
	tagVarint2 = 2 << 3
)

// A sample is one value at one time.
type sample struct {
	t int64
	v float64
}

// encodeLabels returns the labels of a series, given as name, value, name, value … in order of names, as they stand in a TimeSeries.
func encodeLabels(pairs ...string) []byte {
	var out, label []byte
	for i := 0; i+1 < len(pairs); i += 2 {
		label = label[:0]
		label = appendString(label, tagBytes1, pairs[i])
		label = appendString(label, tagBytes2, pairs[i+1])
		out = append(out, tagBytes1)
		out = binary.AppendUvarint(out, uint64(len(label)))
		out = append(out, label...)
	}
	return out
}

func appendString(b []byte, tag byte, s string) []byte {
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// series adds one time series with its samples.
func (e *encoder) series(labels []byte, samples ...sample) {
	if e.wire != nil {
		e.message = e.wire.bytes(e.message, tagBytes1, e.wire.series(labels, samples))
		e.added(samples)
		return
	}
	size := len(labels)
	for _, s := range samples {
		size += 2 + sampleSize(s)
	}
	e.message = append(e.message, tagBytes1)
	e.message = binary.AppendUvarint(e.message, uint64(size))
	e.message = append(e.message, labels...)
	for _, s := range samples {
		e.message = append(e.message, tagBytes2, byte(sampleSize(s)))
		e.message = append(e.message, tagDouble1)
		e.message = binary.LittleEndian.AppendUint64(e.message, math.Float64bits(s.v))
		e.message = append(e.message, tagVarint2)
		e.message = binary.AppendUvarint(e.message, uint64(s.t))
	}
	e.added(samples)
}

// added notes the samples of a series, and cuts the request if it has become long enough.
func (e *encoder) added(samples []sample) {
	for _, s := range samples {
		e.at = s.t
	}
	if e.pending += len(samples); e.pending >= e.batch {
		e.cut()
	}
}

// sampleSize is the length of a Sample message, always below 128.
func sampleSize(s sample) int {
	n := 1 + 8 + 1 + 1
	for v := uint64(s.t); v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// cut ends the request that is being filled.
func (e *encoder) cut() {
	if e.pending == 0 {
		return
	}
	if e.wire != nil {
		e.message = e.wire.request(e.message)
	}
	e.requests = append(e.requests, request{body: snappy.Encode(nil, e.message), samples: e.pending, at: e.at})
	e.message, e.pending = e.message[:0], 0
}
