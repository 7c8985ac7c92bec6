package remotewrite

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/model"
)

// Fields of io.prometheus.write.v2.Request and its TimeSeries.
const (
	fieldSymbol   = 4
	fieldSeriesV2 = 5

	fieldRefs        = 1
	fieldHistogramV2 = 3
	fieldExemplarV2  = 4
	fieldMetadataV2  = 5

	tagSymbol      = fieldSymbol<<3 | wireLen
	tagRefs        = fieldRefs<<3 | wireLen
	tagSampleStart = 3<<3 | wireVarint
)

// walkV2 reads an io.prometheus.write.v2.Request. Senders write the symbols before the series that refer to them. Protobuf allows another order, so when
// a symbol turns up behind a series, what was read is forgotten, and all symbols are gathered before the series are read again.
func (r *Request) walkV2(b []byte) error {
	r.v2.message = b
	at, err := r.readSymbols(b, false)
	if err != nil {
		return err
	}
	late, err := r.readSeries(b, at)
	if err != nil || !late {
		return err
	}
	d, room, granted := r.owner, r.v2.room, r.v2.granted
	r.reset()
	r.owner, r.Version, r.Batch.Labels = d, V2, keysV2
	r.v2.message, r.v2.room, r.v2.granted = b, room, granted
	if _, err = r.readSymbols(b, true); err == nil {
		_, err = r.readSeries(b, len(b))
	}
	return err
}

// readSymbols enters the symbols up to the first other field, whose index it returns, or all of them.
func (r *Request) readSymbols(b []byte, all bool) (next int, err error) {
	for i := 0; i < len(b); {
		at := i
		field, wire, next := tag(b, i)
		if next < 0 || field <= 0 {
			return 0, malformed(at, "no valid field tag; this is not an io.prometheus.write.v2.Request")
		}
		if field < fieldSymbol {
			return 0, otherVersion(at, field, messageV1)
		}
		if field != fieldSymbol {
			if !all {
				return at, nil
			}
			if i = skip(b, next, wire); i < 0 {
				return 0, malformed(at, "field %d of the request is cut off", field)
			}
			continue
		}
		if wire != wireLen {
			return 0, malformed(at, "field %d of the request has wire type %d, want %d", field, wire, wireLen)
		}
		start, end := span(b, next)
		if end < 0 {
			return 0, malformed(at, "field %d of the request is cut off", field)
		}
		if err := r.write(symbolBytes); err != nil {
			return 0, err
		}
		r.v2.add(next, start, end)
		i = end
	}
	return len(b), nil
}

// readSeries reads the series. All symbols before symbolsTo were entered; one behind that stops it and is reported.
func (r *Request) readSeries(b []byte, symbolsTo int) (late bool, err error) {
	i := symbolsTo
	if symbolsTo == len(b) {
		i = 0
	}
	for i < len(b) {
		at := i
		field, wire, next := tag(b, i)
		if next < 0 || field <= 0 {
			return false, malformed(at, "no valid field tag; this is not an io.prometheus.write.v2.Request")
		}
		if field < fieldSymbol {
			return false, otherVersion(at, field, messageV1)
		}
		if field > fieldSeriesV2 {
			if i = skip(b, next, wire); i < 0 {
				return false, malformed(at, "unknown field %d of the request is cut off", field)
			}
			continue
		}
		if wire != wireLen {
			return false, malformed(at, "field %d of the request has wire type %d, want %d", field, wire, wireLen)
		}
		start, end := span(b, next)
		switch {
		case end < 0:
			return false, malformed(at, "field %d of the request is cut off", field)
		case field == fieldSeriesV2:
			if err := r.seriesV2(b[start:end], start); err != nil {
				return false, err
			}
		case at >= symbolsTo:
			return true, nil
		}
		i = end
	}
	return false, nil
}

// seriesV2 reads a TimeSeries that begins at byte base of the message.
func (r *Request) seriesV2(b []byte, base int) error {
	w := seriesWalk{first: r.mark()}
	for i := 0; i < len(b); {
		at := i
		// The ordinary encoding, which is nearly all there is: one-byte tags and lengths.
		if i+1 < len(b) && b[i+1] < 0x80 {
			end := i + 2 + int(b[i+1])
			if b[i] == tagRefs && end <= len(b) && w.refs == nil {
				w.refs = b[i+2 : end]
				i = end
				continue
			}
			if b[i] == tagSample && end <= len(b) {
				if err := r.sampleV2(b[i+2:end], base+at); err != nil {
					return err
				}
				i = end
				continue
			}
		}
		field, wire, next := tag(b, i)
		if next < 0 || field <= 0 {
			return malformed(base+at, "no valid field tag in a time series")
		}
		if field > fieldMetadataV2 {
			if i = skip(b, next, wire); i < 0 {
				return malformed(base+at, "unknown field %d of a time series is cut off", field)
			}
			continue
		}
		if field == fieldRefs && wire == wireVarint {
			if _, i = uvarint(b, next); i < 0 {
				return malformed(base+at, "field %d of a time series is cut off", field)
			}
			w.join(b[next:i])
			continue
		}
		if wire != wireLen {
			return malformed(base+at, "field %d of a time series has wire type %d, want %d", field, wire, wireLen)
		}
		start, end := span(b, next)
		if end < 0 {
			return malformed(base+at, "field %d of a time series is cut off", field)
		}
		i = end
		if err := r.fieldV2(&w, field, b[start:end], base+at); err != nil {
			return err
		}
	}
	return r.finishV2(&w, base)
}

// join adds references. All of a series are in one field, from any sender of today.
func (w *seriesWalk) join(refs []byte) {
	if w.refs == nil {
		w.refs = refs
		return
	}
	if !w.joined {
		w.refs, w.joined = slices.Clone(w.refs), true
	}
	w.refs = append(w.refs, refs...)
}

// fieldV2 takes one field of a time series that was not in the ordinary form. The series' field begins at byte at of the message.
func (r *Request) fieldV2(w *seriesWalk, field int32, b []byte, at int) error {
	switch field {
	case fieldRefs:
		w.join(b)
	case fieldSample:
		return r.sampleV2(b, at)
	case fieldHistogramV2:
		return r.histogram(w, b, at)
	case fieldExemplarV2:
		return r.exemplarV2(w, b, at)
	case fieldMetadataV2:
		return w.meta.read(b, at)
	}
	return nil
}

// finishV2 makes the key of the series and puts it into the batch, or among the rejected ones.
func (r *Request) finishV2(w *seriesWalk, at int) error {
	key, err := r.key(w, w.refs, at)
	if err != nil {
		return err
	}
	if w.fault == nil && w.labels > 0 && r.mark() == w.first && !w.partial() {
		w.blame(model.ReasonLabels, fmt.Errorf("the series has no sample, histogram or exemplar: %w", model.ErrInvalid))
	}
	if w.fault == nil && w.named {
		if err := r.metadataV2(w); err != nil {
			return err
		}
	}
	return r.finish(w, key)
}

// sampleV2 reads a Sample, whose field begins at byte at of the message. One with a start timestamp becomes a row of model.FloatWithStart.
func (r *Request) sampleV2(b []byte, at int) error {
	if len(r.Batch.Samples)+len(r.Batch.Histograms) >= r.owner.opts.MaxSamples {
		return tooManySamples(r.owner.opts.MaxSamples)
	}
	if len(b) > 10 && b[0] == tagSampleValue && b[9] == tagSampleTime {
		// The ordinary encoding: eight bytes of value, then the time to the end, or to the start timestamp.
		t, next := uvarintSlow(b, 10)
		v := math.Float64frombits(binary.LittleEndian.Uint64(b[1:9]))
		if next == len(b) {
			r.Batch.Samples = append(r.Batch.Samples, model.Sample{T: int64(t), V: v})
			return nil
		}
		if next > 0 && b[next] == tagSampleStart {
			if start, end := uvarintSlow(b, next+1); end == len(b) {
				r.addSample(model.Sample{T: int64(t), V: v}, int64(start))
				return nil
			}
		}
	}
	var s model.Sample
	startMs, err := sampleSlow(&s, b, at, V2)
	if err == nil {
		r.addSample(s, startMs)
	}
	return err
}

// addSample adds a sample that may have a start timestamp; 0 is none.
func (r *Request) addSample(s model.Sample, startMs int64) {
	if startMs == 0 {
		r.Batch.Samples = append(r.Batch.Samples, s)
		return
	}
	from := len(r.arena)
	r.arena = model.AppendFloatWithStart(r.arena, startMs, s.V)
	r.Batch.Histograms = append(r.Batch.Histograms, model.HistogramSample{T: s.T, H: r.arena[from:len(r.arena):len(r.arena)]})
}
