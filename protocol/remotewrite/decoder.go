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
	// MaxSamples is the most samples of a request, native histograms included. Default 2,000,000.
	MaxSamples int
	// MaxLabels is the most labels of a series; one with more is rejected, the others are kept. Default 1,000.
	MaxLabels int
}

// Default limits.
const (
	DefaultMaxBodyBytes    = 32 << 20
	DefaultMaxDecodedBytes = 128 << 20
	defaultMaxSeries       = 1_000_000
	defaultMaxSamples      = 2_000_000
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
	// Batch holds the series that have samples and no fault. It aliases the Request's memory.
	Batch model.Batch
	// Rejected are the first ten series that were dropped, RejectedSamples counts the samples of all that were.
	Rejected        []model.Rejection
	RejectedSamples int
	// Reasons are the rejected samples by reason; nil if there are none.
	Reasons map[model.Reason]int
	// Exemplars and Metadata were in the request and were skipped.
	Exemplars, Metadata int

	// empty counts the series without samples, which are dropped unread.
	empty   int
	owner   *Decoder
	decoded []byte
	// arena holds the histograms that were written anew.
	arena []byte
}

// Release gives the request's memory back. Nothing of it may be used afterwards.
func (r *Request) Release() {
	d := r.owner
	if d == nil {
		return
	}
	r.reset()
	if cap(r.decoded) > keepBytes || cap(r.arena) > keepBytes || cap(r.Batch.Samples)*16 > keepBytes || cap(r.Batch.Series)*40 > keepBytes {
		return
	}
	d.pool.Put(r)
}

func (r *Request) reset() {
	r.owner = nil
	r.arena = r.arena[:0]
	clear(r.Batch.Histograms)
	r.Batch = model.Batch{
		Labels: LabelDecoder{}, Series: r.Batch.Series[:0],
		Samples: r.Batch.Samples[:0], Histograms: r.Batch.Histograms[:0],
	}
	r.Rejected, r.RejectedSamples, r.Reasons, r.Exemplars, r.Metadata, r.empty = nil, 0, nil, 0, 0, 0
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

// Decode decodes a whole body. The caller calls Release on the result; the body is not kept.
func (d *Decoder) Decode(body []byte) (*Request, error) {
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
	if err := r.walk(decoded); err != nil {
		r.Release()
		return nil, fmt.Errorf("decode remote write: %w", err)
	}
	return r, nil
}

// DecodeMessage decodes a prometheus.WriteRequest that is not compressed. The result aliases message until Release.
func (d *Decoder) DecodeMessage(message []byte) (*Request, error) {
	if int64(len(message)) > d.opts.MaxDecodedBytes {
		return nil, fmt.Errorf("decode remote write: %w", &TooLargeError{What: "message", Bytes: int64(len(message)), Max: d.opts.MaxDecodedBytes})
	}
	r := d.get()
	if err := r.walk(message); err != nil {
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
