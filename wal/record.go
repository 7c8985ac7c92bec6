package wal

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"
)

// Record is a batch of one tenant, in the order of the log: what its refs mean, then samples. A record of
// many samples comes as several Records. The slices and the histograms' bytes are valid only
// during the call that hands them over; labels and tenant may be kept.
type Record struct {
	Generation, Seq uint64
	Tenant          string
	Defs            []Def
	Samples         []RefSample
	Histograms      []RefHistogram
}

// Def defines a ref of the generation.
type Def struct {
	Ref    uint32
	Labels labels.Labels
}

// RefSample is one float sample.
type RefSample struct {
	Ref uint32
	T   int64
	V   float64
}

// RefHistogram is one native histogram; H is as it was appended.
type RefHistogram struct {
	Ref uint32
	T   int64
	H   []byte
}

// The most that one call of a record function gets: a bound on memory however small the samples are in the log.
const (
	maxSamples    = 8192
	maxDefs       = 4096
	maxHistograms = 4096
)

// decoder turns record bodies into Records, reusing its memory.
type decoder struct {
	rec     Record
	scratch labels.ScratchBuilder
	fn      func(Record) error
	// onlyDefs drops samples, for segments read only for what their refs mean.
	onlyDefs bool
	tenants  map[string]string
}

func newDecoder(h *header, fn func(Record) error) *decoder {
	d := &decoder{rec: Record{Generation: h.generation, Seq: h.seq}, fn: fn, tenants: map[string]string{}}
	d.scratch.SetUnsafeAdd(true) // Labels copies what was added
	return d
}

// borrowed is b as a string, for as long as b stays as it is.
func borrowed(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// tenant returns the name as a string, the same one each time.
func (d *decoder) tenant(name []byte) string {
	if s, ok := d.tenants[string(name)]; ok {
		return s
	}
	s := string(name)
	if len(d.tenants) < 1<<16 {
		d.tenants[s] = s
	}
	return s
}

// flush hands over what is gathered.
func (d *decoder) flush() error {
	r := &d.rec
	if d.onlyDefs {
		r.Samples, r.Histograms = r.Samples[:0], r.Histograms[:0]
	}
	if len(r.Defs) == 0 && len(r.Samples) == 0 && len(r.Histograms) == 0 {
		return nil
	}
	err := d.fn(*r)
	r.Defs, r.Samples, r.Histograms = r.Defs[:0], r.Samples[:0], r.Histograms[:0]
	return err
}

// body decodes one record's body. It returns where and how the body is wrong, or the error of the function that gets the records.
func (d *decoder) body(tenant string, b []byte) (at int, wrong string, err error) {
	d.rec.Tenant = tenant
	d.rec.Defs, d.rec.Samples, d.rec.Histograms = d.rec.Defs[:0], d.rec.Samples[:0], d.rec.Histograms[:0]
	ref, t := int64(-1), int64(0)
	for at < len(b) {
		if len(d.rec.Samples) >= maxSamples || len(d.rec.Histograms) >= maxHistograms || len(d.rec.Defs) >= maxDefs {
			if err := d.flush(); err != nil {
				return at, "", err
			}
		}
		at = d.floats(b, at, &ref, &t)
		if at == len(b) || len(d.rec.Samples) >= maxSamples {
			continue
		}
		next, what := d.operation(b, at, &ref, &t)
		if what != "" {
			return at, what, nil
		}
		at = next
	}
	return at, "", d.flush()
}

// floats is the fast path: float samples, while none can reach beyond the body. It stops in front of anything
// else, damage included, and returns where.
func (d *decoder) floats(b []byte, at int, prevRef, prevT *int64) int {
	ref, t := *prevRef, *prevT
	// A sample takes at least a byte.
	samples := slices.Grow(d.rec.Samples, min(maxSamples-len(d.rec.Samples), len(b)-at))
	for len(samples) < maxSamples && len(b)-at >= maxSampleBytes {
		tag := b[at]
		n := int(tag & sizeMask)
		next, r, tt := at+1, ref+1, t
		if tag&refMask != 0 {
			if r = ref; tag&refMask != refSame {
				delta, k := varint(b[next:])
				if k <= 0 {
					break
				}
				r, next = ref+delta, next+k
			}
		}
		if tag&timeMask != 0 {
			delta, k := varint(b[next:])
			if k <= 0 {
				break
			}
			tt, next = t+delta, next+k
		}
		if n > 8 || tag&refMask == refMask || tag > timeDelta|^byte(timeMask) || uint64(r) > math.MaxUint32 || len(b)-next < 8 {
			break
		}
		ref, t = r, tt
		samples = append(samples, RefSample{uint32(ref), t, float(b[next:], n)})
		at = next + n
	}
	d.rec.Samples, *prevRef, *prevT = samples, ref, t
	return at
}

// float reads a value of n significant bytes from at least 8 bytes. Shifting by 64 gives 0, as n = 0 wants.
func float(b []byte, n int) float64 {
	return math.Float64frombits(le.Uint64(b) << (uint(8-n) * 8))
}

// varint is binary.Varint with the common case in front: up to 8 bytes, and 8 can be read. The end is the
// first byte without its top bit; the 7 bits of the bytes up to there are moved together pairwise.
func varint(b []byte) (int64, int) {
	if len(b) < 8 {
		return binary.Varint(b)
	}
	x := le.Uint64(b)
	stop := ^x & 0x8080808080808080
	if stop == 0 {
		return binary.Varint(b)
	}
	x &= stop ^ (stop - 1)
	x &= 0x7f7f7f7f7f7f7f7f
	x = x&0x007f007f007f007f | x>>1&0x3f803f803f803f80
	x = x&0x00003fff00003fff | x>>2&0x0fffc0000fffc000
	x = x&0x000000000fffffff | x>>4&0x00fffffff0000000
	return int64(x>>1) ^ -int64(x&1), bits.TrailingZeros64(stop)/8 + 1
}

// operation decodes any one operation, and says what is wrong with it.
func (d *decoder) operation(b []byte, at int, prevRef, prevT *int64) (next int, wrong string) {
	tag := b[at]
	at++
	if tag == opDefinition {
		return d.definition(b, at)
	}
	ref, t := *prevRef, *prevT
	switch tag & refMask {
	case refNext:
		ref++
	case refSame:
	case refVarint:
		delta, k := varint(b[at:])
		if k <= 0 {
			return 0, "ref cut off"
		}
		ref, at = ref+delta, at+k
	default:
		return 0, "unknown form of ref"
	}
	switch tag & timeMask {
	case timeSame:
	case timeDelta:
		delta, k := varint(b[at:])
		if k <= 0 {
			return 0, "time cut off"
		}
		t, at = t+delta, at+k
	default:
		return 0, "unknown form of time"
	}
	if uint64(ref) > math.MaxUint32 {
		return 0, "ref out of range"
	}
	*prevRef, *prevT = ref, t
	switch n := int(tag & sizeMask); {
	case n <= 8:
		if len(b)-at < n {
			return 0, "value cut off"
		}
		var wide [8]byte
		copy(wide[:], b[at:at+n])
		d.rec.Samples = append(d.rec.Samples, RefSample{uint32(ref), t, float(wide[:], n)})
		return at + n, ""
	case n == opHistogram:
		h, next, ok := bytesAt(b, at)
		if !ok {
			return 0, "histogram cut off"
		}
		d.rec.Histograms = append(d.rec.Histograms, RefHistogram{uint32(ref), t, h})
		return next, ""
	}
	return 0, "unknown operation"
}

// definition decodes what follows the tag of a definition.
func (d *decoder) definition(b []byte, at int) (next int, wrong string) {
	ref, k := binary.Uvarint(b[at:])
	if k <= 0 || ref > math.MaxUint32 {
		return 0, "definition: ref out of range"
	}
	at += k
	count, k := binary.Uvarint(b[at:])
	at += k
	if k <= 0 || count > uint64(len(b)-at)/2 {
		return 0, "definition: more labels than bytes"
	}
	d.scratch.Reset()
	for range count {
		name, next, ok := bytesAt(b, at)
		if !ok {
			return 0, "definition: label name cut off"
		}
		value, next, ok := bytesAt(b, next)
		if !ok {
			return 0, "definition: label value cut off"
		}
		d.scratch.Add(borrowed(name), borrowed(value))
		at = next
	}
	d.rec.Defs = append(d.rec.Defs, Def{uint32(ref), d.scratch.Labels()})
	return at, ""
}

// bytesAt reads a uvarint length and that many bytes.
func bytesAt(b []byte, at int) (p []byte, next int, ok bool) {
	n, k := binary.Uvarint(b[at:])
	if at += k; k <= 0 || n > uint64(len(b)-at) {
		return nil, 0, false
	}
	return b[at : at+int(n) : at+int(n)], at + int(n), true
}
