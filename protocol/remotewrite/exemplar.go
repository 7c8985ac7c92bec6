package remotewrite

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/exemplar"

	"github.com/varvedb/varve/model"
)

// openExemplar is an exemplar being read: labels are names and values in turn, in the fields of 1.0 or by the references of 2.0.
type openExemplar struct {
	v      float64
	t      int64
	labels [][2][]byte
	// size is that of names and values in bytes, chars in characters.
	size, chars int
}

func (e *openExemplar) add(name, value []byte) {
	// Whoever sends more than may be gets them counted, not kept.
	if e.size += len(name) + len(value); e.size <= 4*exemplar.ExemplarMaxLabelSetLength {
		e.labels = append(e.labels, [2][]byte{name, value})
		e.chars += utf8.RuneCount(name) + utf8.RuneCount(value)
	}
}

func (e *openExemplar) tooLong() bool {
	return e.size > 4*exemplar.ExemplarMaxLabelSetLength || e.chars > exemplar.ExemplarMaxLabelSetLength
}

// exemplar reads a prometheus.Exemplar, whose field begins at byte at of the message.
func (r *Request) exemplar(w *seriesWalk, b []byte, at int) error {
	var e openExemplar
	for i := 0; i < len(b); {
		field, wire, next := tag(b, i)
		if next < 0 || field <= 0 {
			return malformed(at, "no valid field tag in an exemplar")
		}
		if field != 1 {
			var err error
			if i, err = e.field(b, field, wire, next, at); err != nil {
				return err
			}
			continue
		}
		start, end := span(b, next)
		if wire != wireLen || end < 0 {
			return malformed(at, "the labels of an exemplar are malformed")
		}
		name, value, ok := label(b[start:end])
		if !ok {
			return malformed(at, "the labels of an exemplar are malformed")
		}
		e.add(name, value)
		i = end
	}
	return r.keepExemplar(w, &e)
}

// field reads a field that both versions have: 2, the value, 3, the time, and those that are not known.
func (e *openExemplar) field(b []byte, field int32, wire, next, at int) (end int, err error) {
	switch {
	case field == 2 && wire == wireI64:
		if len(b)-next < 8 {
			return 0, malformed(at, "the value of an exemplar is cut off")
		}
		e.v = math.Float64frombits(binary.LittleEndian.Uint64(b[next:]))
		return next + 8, nil
	case field == 3 && wire == wireVarint:
		t, end := uvarint(b, next)
		if end < 0 {
			return 0, malformed(at, "the timestamp of an exemplar is cut off")
		}
		e.t = int64(t)
		return end, nil
	case field == 2 || field == 3:
		return 0, malformed(at, "field %d of an exemplar has wire type %d", field, wire)
	}
	if end = skip(b, next, wire); end < 0 {
		return 0, malformed(at, "unknown field %d of an exemplar is cut off", field)
	}
	return end, nil
}

// exemplarV2 reads an Exemplar of version 2.0, whose field begins at byte at of the message.
func (r *Request) exemplarV2(w *seriesWalk, b []byte, at int) error {
	var e openExemplar
	var refs seriesWalk
	for i := 0; i < len(b); {
		field, wire, next := tag(b, i)
		if next < 0 || field <= 0 {
			return malformed(at, "no valid field tag in an exemplar")
		}
		var err error
		switch {
		case field == fieldRefs && wire == wireVarint:
			if _, i = uvarint(b, next); i < 0 {
				return malformed(at, "labels_refs of an exemplar are cut off")
			}
			refs.join(b[next:i])
		case field == fieldRefs:
			start, end := span(b, next)
			if wire != wireLen || end < 0 {
				return malformed(at, "labels_refs of an exemplar are cut off")
			}
			refs.join(b[start:end])
			i = end
		default:
			if i, err = e.field(b, field, wire, next, at); err != nil {
				return err
			}
		}
	}
	fault, err := r.exemplarLabels(&e, refs.refs, at)
	if err != nil {
		return err
	}
	if fault != nil {
		r.DroppedExemplars++
		if w.badExemplar == nil {
			w.badExemplar = fault
		}
		return nil
	}
	return r.keepExemplar(w, &e)
}

// exemplarLabels looks up references. One that leads nowhere is a fault of the exemplar: the samples beside it stay.
func (r *Request) exemplarLabels(e *openExemplar, refs []byte, at int) (fault, err error) {
	var name []byte
	n := 0
	for i := 0; i < len(refs); n++ {
		ref, next := uvarint(refs, i)
		if next < 0 {
			return nil, malformed(at, "labels_refs of an exemplar are cut off")
		}
		i = next
		if uint64(uint32(ref)) >= uint64(len(r.v2.symbols)) {
			return badRef("labels_refs of an exemplar", uint32(ref), len(r.v2.symbols)), nil
		}
		text := r.v2.text(uint32(ref))
		if n&1 == 0 {
			name = text
			continue
		}
		e.add(name, text)
	}
	if n&1 == 1 {
		return oddRefs("labels_refs of an exemplar", n), nil
	}
	return nil, nil
}

// keepExemplar puts an exemplar into the batch, in one row with that before it if series and time are the same.
func (r *Request) keepExemplar(w *seriesWalk, e *openExemplar) error {
	if e.tooLong() {
		r.DroppedExemplars++
		return nil
	}
	rows := r.Batch.Exemplars
	row := model.ExemplarRow{T: e.t}
	from := len(r.arena)
	if n := len(rows) - 1; n >= w.first.exemplars && rows[n].T == e.t {
		row, rows = rows[n], rows[:n]
		if from >= len(row.Row) && &r.arena[from-len(row.Row)] == &row.Row[0] {
			from -= len(row.Row) // it ends the arena, and grows where it is
		} else if err := r.write(len(row.Row)); err != nil {
			return err
		} else {
			r.arena = append(r.arena, row.Row...)
		}
	} else {
		r.arena = model.BeginExemplars(r.arena)
	}
	const overhead = 80 // the batch's entry, value, and lengths of about two labels
	if err := r.write(e.size + overhead); err != nil {
		return err
	}
	r.arena = model.AppendExemplar(r.arena, e.v, len(e.labels))
	for _, l := range e.labels {
		r.arena = model.AppendText(model.AppendText(r.arena, l[0]), l[1])
	}
	row.Row = r.arena[from:len(r.arena):len(r.arena)]
	row.Count++
	r.Batch.Exemplars = append(rows, row)
	r.Exemplars++
	return nil
}
