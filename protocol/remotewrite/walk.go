package remotewrite

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/varvedb/varve/model"
)

// Fields of prometheus.WriteRequest and prometheus.TimeSeries.
const (
	fieldSeries   = 1
	fieldMetadata = 3

	fieldLabel     = 1
	fieldSample    = 2
	fieldExemplar  = 3
	fieldHistogram = 4
)

// Tags as they stand in the ordinary encoding: one byte.
const (
	tagLabel       = fieldLabel<<3 | wireLen
	tagSample      = fieldSample<<3 | wireLen
	tagSampleValue = 1<<3 | wireI64
	tagSampleTime  = 2<<3 | wireVarint
)

func malformed(at int, format string, args ...any) error {
	return fmt.Errorf("byte %d of the message: %s: %w", at, fmt.Sprintf(format, args...), model.ErrInvalid)
}

// otherVersion refuses a message of one version that was declared as the other. The two have no field in common, so that it would look empty,
// and all of it would be lost in silence.
func otherVersion(at int, field int32, message string) error {
	return malformed(at, "field %d is one of %s, which Content-Type has to say (proto=%s)", field, message, message)
}

// walk reads a prometheus.WriteRequest.
func (r *Request) walk(b []byte) error {
	for i := 0; i < len(b); {
		at := i
		field, wire, next := tag(b, i)
		if next < 0 || field <= 0 {
			return malformed(at, "no valid field tag; this is not a prometheus.WriteRequest")
		}
		i = next
		var err error
		switch field {
		case fieldSeries, fieldMetadata:
			if wire != wireLen {
				return malformed(at, "field %d of the request has wire type %d, want %d", field, wire, wireLen)
			}
			start, end := span(b, i)
			if end < 0 {
				return malformed(at, "field %d of the request is cut off", field)
			}
			if field == fieldMetadata {
				err = r.metadata(b[start:end], start)
			} else {
				err = r.series(b[start:end], start)
			}
			if err != nil {
				return err
			}
			i = end
		case fieldSymbol, fieldSeriesV2:
			return otherVersion(at, field, messageV2)
		default:
			if i = skip(b, i, wire); i < 0 {
				return malformed(at, "unknown field %d of the request is cut off", field)
			}
		}
	}
	return nil
}

// seriesWalk is what is known of the series being read.
type seriesWalk struct {
	// Labels lie in b[keyStart:keyEnd], as they stand; once another field was found between them, key is a copy
	// of those before it.
	keyStart, keyEnd int
	key              []byte
	labels           int
	named            bool // one of them is a metric name; if not, it may still be in another form
	// fault is a permanent one of this series alone, of the reason.
	fault  error
	reason model.Reason
	// lost are the native histograms that are none, for the reason lostFault that is the first one's, and badExemplar is what is wrong with one
	// of the exemplars: none is in the batch, while the rest of the series may be.
	lost                   int
	lostFault, badExemplar error
	// first is what was in the batch before it.
	first mark

	// Of 2.0 only: refs are those of the labels, metric the symbol that is its metric's name if named, meta its metadata.
	refs   []byte
	joined bool // refs is a copy
	metric uint32
	meta   metadataV2
}

// blame notes the first fault of a series.
func (w *seriesWalk) blame(reason model.Reason, err error) {
	if w.fault == nil {
		w.fault, w.reason = err, reason
	}
}

// partial reports whether something of the series is not in the batch for a fault of its own.
func (w *seriesWalk) partial() bool { return w.lost > 0 || w.badExemplar != nil }

// mark is how much was in a batch at some moment.
type mark struct{ samples, histograms, exemplars int }

func (r *Request) mark() mark {
	return mark{len(r.Batch.Samples), len(r.Batch.Histograms), len(r.Batch.Exemplars)}
}

// forget takes what came after m out of the batch.
func (r *Request) forget(m mark) {
	for _, e := range r.Batch.Exemplars[m.exemplars:] {
		r.Exemplars -= e.Count
	}
	r.Batch.Samples = r.Batch.Samples[:m.samples]
	r.Batch.Histograms = r.Batch.Histograms[:m.histograms]
	r.Batch.Exemplars = r.Batch.Exemplars[:m.exemplars]
}

// series reads a prometheus.TimeSeries that begins at byte base of the message.
func (r *Request) series(b []byte, base int) error {
	w := seriesWalk{keyStart: -1, first: r.mark()}
	i := 0
	for i < len(b) {
		at := i
		// The ordinary encoding, which is nearly all there is: one-byte tags and lengths.
		if i+1 < len(b) && b[i+1] < 0x80 {
			end := i + 2 + int(b[i+1])
			if b[i] == tagLabel && end <= len(b) {
				if w.keyEnd != i {
					r.joinLabels(&w, b, i)
				} else if w.keyStart < 0 {
					w.keyStart = i
				}
				w.named = w.named || isName(b[i+2:end])
				w.keyEnd, i = end, end
				w.labels++
				continue
			}
			if b[i] == tagSample && end <= len(b) {
				if err := r.sample(b[i+2:end], base+at); err != nil {
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
		if i = next; field > fieldHistogram {
			if i = skip(b, i, wire); i < 0 {
				return malformed(base+at, "unknown field %d of a time series is cut off", field)
			}
			continue
		}
		if wire != wireLen {
			return malformed(base+at, "field %d of a time series has wire type %d, want %d", field, wire, wireLen)
		}
		start, end := span(b, i)
		if end < 0 {
			return malformed(base+at, "field %d of a time series is cut off", field)
		}
		i = end
		if err := r.field(&w, b, field, at, start, end, base); err != nil {
			return err
		}
	}
	var key []byte
	if w.keyStart >= 0 {
		key = b[w.keyStart:w.keyEnd:w.keyEnd]
	}
	if w.key != nil {
		key = append(w.key, key...)
	}
	return r.finish(&w, key)
}

// field takes one field of a time series that was not in the ordinary form.
func (r *Request) field(w *seriesWalk, b []byte, field int32, at, start, end, base int) error {
	switch field {
	case fieldLabel:
		if w.keyStart < 0 {
			w.keyStart = at
		} else if w.keyEnd != at {
			r.joinLabels(w, b, at)
		}
		w.keyEnd = end
		w.labels++
	case fieldSample:
		return r.sample(b[start:end], base+at)
	case fieldExemplar:
		return r.exemplar(w, b[start:end], base+at)
	case fieldHistogram:
		return r.histogram(w, b[start:end], base+at)
	}
	return nil
}

// joinLabels is called when a label field at b[at:] does not follow the one before it: what was found so far
// is copied, so that the key stays one run of label fields.
func (r *Request) joinLabels(w *seriesWalk, b []byte, at int) {
	if w.keyStart >= 0 {
		w.key = append(w.key, b[w.keyStart:w.keyEnd]...)
	}
	w.keyStart = at
}

// finish puts the series of a key into the batch, or among the rejected ones.
func (r *Request) finish(w *seriesWalk, key []byte) error {
	now := r.mark()
	samples, histograms, exemplars := now.samples-w.first.samples, now.histograms-w.first.histograms, now.exemplars-w.first.exemplars
	o := &r.owner.opts
	if now.samples+now.histograms+now.exemplars > o.MaxSamples {
		return tooManySamples(o.MaxSamples)
	}
	switch {
	case w.fault != nil:
	case w.labels > o.MaxLabels:
		w.blame(model.ReasonLimit, fmt.Errorf("%d labels, at most %d are accepted: %w", w.labels, o.MaxLabels, model.ErrInvalid))
	case samples+histograms+exemplars == 0 && !w.partial():
		r.empty++
		return nil
	case w.labels == 0:
		w.blame(model.ReasonLabels, fmt.Errorf("the series has no labels: %w", model.ErrInvalid))
	case !w.named && !r.hasName(key):
		w.blame(model.ReasonLabels, fmt.Errorf("the series has no label __name__: %w", model.ErrInvalid))
	}
	if w.fault != nil {
		r.reject(r.textOf(w, key), w.reason, w.fault, max(1, samples+histograms+w.lost))
		r.forget(w.first)
		return nil //nolint:nilerr // the fault is the series' own and was noted
	}
	if w.lost > 0 {
		r.reject(r.textOf(w, key), model.ReasonHistogram, w.lostFault, w.lost)
	}
	if w.badExemplar != nil {
		r.reject(r.textOf(w, key), model.ReasonLabels, w.badExemplar, 0)
	}
	for i := range r.Batch.Exemplars[w.first.exemplars:] {
		r.Batch.Exemplars[w.first.exemplars+i].Key = key
	}
	if samples+histograms == 0 {
		return nil
	}
	if len(r.Batch.Series) >= o.MaxSeries {
		return fmt.Errorf("the request has more than %d series, send smaller batches: %w", o.MaxSeries, model.ErrInvalid)
	}
	r.Batch.Series = append(r.Batch.Series, model.BatchSeries{
		Key:   key,
		First: int32(w.first.samples), Count: int32(samples),
		FirstHistogram: int32(w.first.histograms), HistogramCount: int32(histograms),
	})
	return nil
}

// maxRejections are listed; the rest is only counted.
const maxRejections = 10

// textOf returns how the series is shown to a person; of one whose references lead nowhere there are only these to show.
func (r *Request) textOf(w *seriesWalk, key []byte) func() string {
	if r.Version == V2 && key == nil {
		return func() string { return refsText(w.refs) }
	}
	return func() string { return r.seriesText(key) }
}

func (r *Request) reject(series func() string, reason model.Reason, err error, samples int) {
	r.RejectedSamples += samples
	if r.Reasons == nil {
		r.Reasons = map[model.Reason]int{}
	}
	r.Reasons[reason] += samples
	if len(r.Rejected) < maxRejections {
		r.Rejected = append(r.Rejected, model.Rejection{Series: series(), Err: err})
	}
}

// sample reads a prometheus.Sample, whose field begins at byte at of the message.
func (r *Request) sample(b []byte, at int) error {
	if len(r.Batch.Samples) >= r.owner.opts.MaxSamples {
		return tooManySamples(r.owner.opts.MaxSamples)
	}
	var s model.Sample
	if len(b) > 10 && b[0] == tagSampleValue && b[9] == tagSampleTime {
		// The ordinary encoding: eight bytes of value, then the time to the end.
		if t, next := uvarintSlow(b, 10); next == len(b) {
			s.V, s.T = math.Float64frombits(binary.LittleEndian.Uint64(b[1:9])), int64(t)
			r.Batch.Samples = append(r.Batch.Samples, s)
			return nil
		}
	}
	// What 2.0 has as its start timestamp is nothing in 1.0.
	if _, err := sampleSlow(&s, b, at, V1); err != nil {
		return err
	}
	r.Batch.Samples = append(r.Batch.Samples, s)
	return nil
}

func tooManySamples(n int) error {
	return fmt.Errorf("the request has more than %d samples, send smaller batches: %w", n, model.ErrInvalid)
}

// sampleSlow reads a sample in any encoding that protobuf allows: fields missing, repeated, in any order. It returns the start timestamp, which only
// 2.0 has.
func sampleSlow(s *model.Sample, b []byte, at int, v Version) (startMs int64, err error) {
	for i := 0; i < len(b); {
		field, wire, next := tag(b, i)
		if next < 0 || field <= 0 {
			return 0, malformed(at, "no valid field tag in a sample")
		}
		switch i = next; {
		case field == 1 && wire == wireI64:
			if len(b)-i < 8 {
				return 0, malformed(at, "the value of a sample is cut off")
			}
			s.V = math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
			i += 8
		case (field == 2 || field == 3 && v == V2) && wire == wireVarint:
			t, next := uvarint(b, i)
			if next < 0 {
				return 0, malformed(at, "the timestamp of a sample is cut off")
			}
			if i = next; field == 2 {
				s.T = int64(t)
			} else {
				startMs = int64(t)
			}
		case field == 1 || field == 2 || field == 3 && v == V2:
			return 0, malformed(at, "field %d of a sample has wire type %d", field, wire)
		default:
			if i = skip(b, i, wire); i < 0 {
				return 0, malformed(at, "unknown field %d of a sample is cut off", field)
			}
		}
	}
	return startMs, nil
}
