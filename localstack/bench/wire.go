package main

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
)

// A wireForm is another way to encode the same requests, which a server has to understand as well: what protobuf allows and what senders
// other than Prometheus do. The zero value is what Prometheus does, and nil too.
type wireForm struct {
	// permuted gives the labels of each series an order of its own, shuffled another one at each scrape.
	permuted, shuffled bool
	// unknown adds fields that nobody knows to requests, series, labels and samples.
	unknown bool
	// extra adds exemplars to series and metadata to requests.
	extra bool
	// wide writes lengths and times with more bytes than they need.
	wide bool
	// swapped writes fields in another order: samples before labels, value before name, time before value.
	swapped bool
}

// parseWire reads a list of forms.
func parseWire(list string) (*wireForm, error) {
	f := &wireForm{}
	for name := range strings.SplitSeq(list, ",") {
		switch name {
		case "", "sorted":
		case "permuted":
			f.permuted = true
		case "shuffled":
			f.shuffled = true
		case "unknown":
			f.unknown = true
		case "extra":
			f.extra = true
		case "wide":
			f.wide = true
		case "swapped":
			f.swapped = true
		default:
			return nil, fmt.Errorf("--wire %s: want sorted, permuted, shuffled, unknown, extra, wide or swapped", name)
		}
	}
	if *f == (wireForm{}) {
		return nil, nil
	}
	return f, nil
}

// A wireEncoder writes messages in a form. For one goroutine.
type wireEncoder struct {
	form *wireForm
	rng  *rand.Rand
	n    int
}

func newWireEncoder(f *wireForm) *wireEncoder {
	if f == nil {
		return nil
	}
	return &wireEncoder{form: f, rng: rand.New(rand.NewPCG(1, 1))}
}

// series returns a TimeSeries of labels as encodeLabels makes them.
func (w *wireEncoder) series(labels []byte, samples []sample) []byte {
	w.n++
	var before, after []byte
	for _, l := range w.order(splitLabels(labels)) {
		before = w.bytes(before, tagBytes1, w.label(l))
	}
	for _, s := range samples {
		after = w.bytes(after, tagBytes2, w.sample(s))
	}
	if w.form.extra && w.n%10 == 0 {
		exemplar := w.bytes(nil, tagBytes1, w.label([2]string{"trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"}))
		after = w.bytes(after, 3<<3|2, w.varint(append(exemplar, 2<<3|1, 0, 0, 0, 0, 0, 0, 0, 0, 3<<3), 1))
	}
	if w.form.swapped {
		before, after = after, before
	}
	return w.foreign(append(before, after...))
}

// splitLabels reads what encodeLabels wrote.
func splitLabels(b []byte) (out [][2]string) {
	text := func(b []byte) (string, []byte) {
		n, k := binary.Uvarint(b[1:])
		at := 1 + k
		return string(b[at : at+int(n)]), b[at+int(n):]
	}
	for len(b) > 0 {
		var label string
		label, b = text(b)
		name, rest := text([]byte(label))
		value, _ := text(rest)
		out = append(out, [2]string{name, value})
	}
	return out
}

// order puts labels into the order of the form.
func (w *wireEncoder) order(labels [][2]string) [][2]string {
	rng := w.rng
	if w.form.permuted {
		h := fnv.New64a()
		for _, l := range labels {
			h.Write([]byte(l[0] + l[1]))
		}
		rng = rand.New(rand.NewPCG(h.Sum64(), 0))
	}
	if w.form.permuted || w.form.shuffled {
		rng.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
	}
	return labels
}

func (w *wireEncoder) label(l [2]string) []byte {
	name, value := w.bytes(nil, tagBytes1, []byte(l[0])), w.bytes(nil, tagBytes2, []byte(l[1]))
	if w.form.swapped {
		name, value = value, name
	}
	return w.foreign(append(name, value...))
}

func (w *wireEncoder) sample(s sample) []byte {
	value := binary.LittleEndian.AppendUint64([]byte{tagDouble1}, math.Float64bits(s.v))
	at := w.varint([]byte{tagVarint2}, uint64(s.t))
	if w.form.swapped {
		value, at = at, value
	}
	return w.foreign(append(value, at...))
}

// foreign adds fields that nobody knows: a varint, and a group with a string in it.
func (w *wireEncoder) foreign(b []byte) []byte {
	if !w.form.unknown {
		return b
	}
	const number = 15
	b = append(b, number<<3, 1)
	return append(b, number<<3|3, 1<<3|2, 2, 'h', 'i', number<<3|4)
}

// request adds what belongs to the request as a whole.
func (w *wireEncoder) request(b []byte) []byte {
	if w.form.extra {
		metadata := w.bytes(w.varint([]byte{1 << 3}, 1), 2<<3|2, []byte(metricRequests))
		b = w.bytes(b, 3<<3|2, w.bytes(metadata, 4<<3|2, []byte("Requests that were answered.")))
	}
	return w.foreign(b)
}

func (w *wireEncoder) bytes(dst []byte, tag byte, b []byte) []byte {
	return append(w.varint(append(dst, tag), uint64(len(b))), b...)
}

// varint appends a varint, in the wide form with two bytes that say nothing.
func (w *wireEncoder) varint(dst []byte, v uint64) []byte {
	dst = binary.AppendUvarint(dst, v)
	if w.form.wide {
		dst[len(dst)-1] |= 0x80
		dst = append(dst, 0x80, 0)
	}
	return dst
}
