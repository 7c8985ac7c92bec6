package remotewrite

import (
	"fmt"
	"sync"

	"github.com/golang/snappy"

	"github.com/varvedb/varve/model"
)

// Options are the limits of a Decoder. The zero value, and nil, mean the defaults.
type Options struct {
	// MaxBodyBytes is the largest compressed body. Default 32 MiB.
	MaxBodyBytes int64
	// MaxDecodedBytes is the largest message inside. Default 128 MiB.
	MaxDecodedBytes int64
	// MaxSeries is the most series of a request. Default 1,000,000.
	MaxSeries int
	// MaxSamples is the most samples of a request, native histograms and exemplars included. Default 2,000,000.
	MaxSamples int
	// MaxTextBytes bounds what is made of the symbols of a request of version 2.0: the labels of its series and exemplars, and help
	// texts, written out. Default 32 MiB, which is what the ingester takes of a request.
	MaxTextBytes int64
	// MaxLabels is the most labels of a series; one with more is rejected, the others are kept. Default 1,000.
	MaxLabels int
}

// Default limits.
const (
	DefaultMaxBodyBytes    = 32 << 20
	DefaultMaxDecodedBytes = 128 << 20
	defaultMaxSeries       = 1_000_000
	defaultMaxSamples      = 2_000_000
	defaultMaxTextBytes    = 32 << 20
	defaultMaxLabels       = 1_000
)

// keepBytes is the largest buffer that goes back to the pool: one giant request must not
// leave its memory behind for good.
const keepBytes = 8 << 20

func (o *Options) withDefaults() Options {
	var r Options
	if o != nil {
		r = *o
	}
	setDefault(&r.MaxBodyBytes, DefaultMaxBodyBytes)
	setDefault(&r.MaxDecodedBytes, DefaultMaxDecodedBytes)
	setDefault(&r.MaxSeries, defaultMaxSeries)
	setDefault(&r.MaxSamples, defaultMaxSamples)
	setDefault(&r.MaxTextBytes, defaultMaxTextBytes)
	setDefault(&r.MaxLabels, defaultMaxLabels)
	return r
}

func setDefault[T int | int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Decoder turns bodies into requests. Safe for concurrent use.
type Decoder struct {
	opts Options
	pool sync.Pool
}

// NewDecoder returns a decoder with the given limits; nil means the defaults.
func NewDecoder(opts *Options) *Decoder {
	d := &Decoder{opts: opts.withDefaults()}
	d.pool.New = func() any { return new(Request) }
	return d
}

// Options returns the limits in force.
func (d *Decoder) Options() Options { return d.opts }

// Request is one decoded write.
type Request struct {
	// Batch holds the series that have samples and no fault, their exemplars, and metadata. It aliases the Request's memory.
	Batch model.Batch
	// Version is the one that was decoded.
	Version Version
	// Rejected are the first ten series that were dropped, RejectedSamples counts the samples of all that were.
	Rejected        []model.Rejection
	RejectedSamples int
	// Reasons are the rejected samples by reason; nil if there are none.
	Reasons map[model.Reason]int
	// Exemplars are those in Batch, DroppedExemplars those of more than 128 characters, which OpenMetrics allows at most.
	Exemplars, DroppedExemplars int

	// empty counts the series without samples, which are dropped unread.
	empty   int
	owner   *Decoder
	decoded []byte
	// arena holds what is not in the message as it is kept: histograms, exemplars and metadata.
	arena []byte
	v2    stateV2
}

// Release gives the request's memory back. Nothing of it may be used afterwards.
func (r *Request) Release() {
	d := r.owner
	if d == nil {
		return
	}
	r.reset()
	if r.large() {
		return
	}
	d.pool.Put(r)
}

// large reports whether the request holds more than one should that waits for its next use.
func (r *Request) large() bool {
	b := &r.Batch
	for _, n := range []int{
		cap(r.decoded), cap(r.arena), cap(b.Samples) * 16, cap(b.Series) * 40, cap(b.Histograms) * 32, cap(b.Exemplars) * 64, cap(b.Metadata) * 48,
		cap(r.v2.keys), cap(r.v2.symbols) * 8,
	} {
		if n > keepBytes {
			return true
		}
	}
	return false
}

func (r *Request) reset() {
	r.owner, r.Version = nil, V1
	r.arena = r.arena[:0]
	r.v2.reset()
	clear(r.Batch.Histograms)
	clear(r.Batch.Exemplars)
	clear(r.Batch.Metadata)
	r.Batch = model.Batch{
		Labels: LabelDecoder{}, Series: r.Batch.Series[:0],
		Samples: r.Batch.Samples[:0], Histograms: r.Batch.Histograms[:0],
		Exemplars: r.Batch.Exemplars[:0], Metadata: r.Batch.Metadata[:0],
	}
	r.Rejected, r.RejectedSamples, r.Reasons, r.Exemplars, r.DroppedExemplars, r.empty = nil, 0, nil, 0, 0, 0
}

// maxExpansion bounds how many bytes one byte of a snappy block can stand for: its densest element copies
// 64 bytes with three.
const maxExpansion = 22

// HeaderBytes of a body are enough for DeclaredSize.
const HeaderBytes = 10

// DeclaredSize returns the length that the snappy block says it has when decoded. The first HeaderBytes of the
// body are enough; total is the length of the whole body, or -1 if it isn't known yet. The error wraps
// model.ErrInvalid, and TooLargeError where a limit is passed. Nothing is allocated.
func (d *Decoder) DeclaredSize(head []byte, total int64) (int64, error) {
	if total > d.opts.MaxBodyBytes {
		return 0, &TooLargeError{What: "body", Bytes: total, Max: d.opts.MaxBodyBytes}
	}
	n, next := uvarint(head, 0)
	switch {
	case len(head) == 0:
		return 0, fmt.Errorf("body is empty, want a snappy block: %w", model.ErrInvalid)
	case next < 0 || n > 1<<32-1:
		return 0, fmt.Errorf("body does not begin like a snappy block (its first bytes are no length): %w", model.ErrInvalid)
	case n > uint64(d.opts.MaxDecodedBytes):
		return 0, &TooLargeError{What: "decoded body", Bytes: int64(n), Max: d.opts.MaxDecodedBytes}
	case total >= 0 && n > uint64(total)*maxExpansion:
		return 0, fmt.Errorf("snappy block of %d bytes declares %d decoded bytes, more than snappy can express: %w", total, n, model.ErrInvalid)
	}
	return int64(n), nil
}

// TooLargeError refuses a body for its size (413). It wraps model.ErrInvalid: the same body will be refused again.
type TooLargeError struct {
	What       string
	Bytes, Max int64
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s of %d bytes is over the limit of %d; send smaller batches", e.What, e.Bytes, e.Max)
}

// Unwrap makes it a model.ErrInvalid.
func (e *TooLargeError) Unwrap() error { return model.ErrInvalid }

// Decode decodes a whole body of version 1.0. The caller calls Release on the result; the body is not kept.
func (d *Decoder) Decode(body []byte) (*Request, error) { return d.decode(body, V1, nil) }

// DecodeV2 decodes a whole body of version 2.0, in which a label may stand for many: room, if it is not nil, is asked before the memory for what
// they stand for grows by n bytes, and may refuse. The caller calls Release on the result; the body is not kept.
func (d *Decoder) DecodeV2(body []byte, room func(n int64) error) (*Request, error) {
	return d.decode(body, V2, room)
}

func (d *Decoder) decode(body []byte, v Version, room func(n int64) error) (*Request, error) {
	n, err := d.DeclaredSize(body, int64(len(body)))
	if err != nil {
		return nil, fmt.Errorf("decode remote write: %w", err)
	}
	r := d.get()
	if int64(cap(r.decoded)) < n {
		r.decoded = make([]byte, n)
	}
	decoded, err := snappy.Decode(r.decoded[:cap(r.decoded)], body)
	if err != nil {
		r.Release()
		return nil, fmt.Errorf("decode remote write: body is no valid snappy block: %w", model.ErrInvalid)
	}
	return d.walked(r, decoded, v, room)
}

// DecodeMessage decodes a message that is not compressed. The result aliases message until Release.
func (d *Decoder) DecodeMessage(message []byte, v Version) (*Request, error) {
	if int64(len(message)) > d.opts.MaxDecodedBytes {
		return nil, fmt.Errorf("decode remote write: %w", &TooLargeError{What: "message", Bytes: int64(len(message)), Max: d.opts.MaxDecodedBytes})
	}
	return d.walked(d.get(), message, v, nil)
}

func (d *Decoder) walked(r *Request, message []byte, v Version, room func(n int64) error) (*Request, error) {
	var err error
	if r.Version = v; v == V2 {
		r.Batch.Labels = keysV2
		r.v2.room = room
		err = r.walkV2(message)
	} else {
		err = r.walk(message)
	}
	if err != nil {
		r.Release()
		return nil, fmt.Errorf("decode remote write: %w", err)
	}
	return r, nil
}

func (d *Decoder) get() *Request {
	r := d.pool.Get().(*Request)
	r.reset()
	r.owner = d
	return r
}
