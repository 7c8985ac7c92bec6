package remotewrite

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	prommodel "github.com/prometheus/common/model"

	"github.com/varvedb/varve/model"
)

// stateV2 is what decoding a request of version 2.0 needs besides what 1.0 does.
type stateV2 struct {
	message []byte
	symbols []symbol
	// metricName is the first symbol that is "__name__", which is how series say theirs; noSymbol without one.
	metricName uint32
	// told says of which symbols, as names of metrics, the metadata is in the batch.
	told []bool
	// keys holds the keys of series.
	keys []byte
	// texts is how many bytes were written out of symbols, those of series that were rejected included, and granted how many room was asked for.
	texts, granted int64
	room           func(n int64) error
}

// symbol is where a symbol stands in the message: n bytes, the first of which are the varint of its length.
type symbol struct{ off, n uint32 }

const (
	symbolBytes = 16 // twice an entry, for those it is moved to as the table grows
	noSymbol    = 1<<32 - 1
)

func (s *stateV2) reset() {
	*s = stateV2{symbols: s.symbols[:0], told: s.told[:0], keys: s.keys[:0], metricName: noSymbol}
}

// add enters the symbol whose field's value begins, length first, at off.
func (s *stateV2) add(off, start, end int) {
	if s.metricName == noSymbol && string(s.message[start:end]) == prommodel.MetricNameLabel {
		s.metricName = uint32(len(s.symbols))
	}
	s.symbols = append(s.symbols, symbol{uint32(off), uint32(end - off)})
}

// text returns a symbol.
func (s *stateV2) text(ref uint32) []byte {
	x := s.symbols[ref]
	field := s.message[x.off : x.off+x.n]
	start, end := span(field, 0)
	return field[start:end]
}

// write counts n bytes that are about to be written out of symbols, or made for them.
func (r *Request) write(n int) error {
	s := &r.v2
	s.texts += int64(n)
	if s.texts <= s.granted {
		return nil
	}
	return r.grow()
}

// grow asks for room in steps.
func (r *Request) grow() error {
	s := &r.v2
	if limit := r.owner.opts.MaxTextBytes; s.texts > limit {
		return fmt.Errorf("labels and texts of the request are more than %d bytes when written out, send smaller batches: %w", limit, model.ErrInvalid)
	}
	const step = 256 << 10
	more := (s.texts - s.granted + step - 1) / step * step
	if s.room != nil {
		if err := s.room(more); err != nil {
			return err
		}
	}
	s.granted += more
	return nil
}

// refsText shows references for a person.
func refsText(refs []byte) string {
	var b strings.Builder
	b.WriteString("with labels_refs [")
	for i, n := 0, 0; i < len(refs); n++ {
		v, next := uvarint(refs, i)
		if next < 0 || n == 40 {
			b.WriteString(" …")
			break
		}
		if n > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatUint(uint64(uint32(v)), 10))
		i = next
	}
	b.WriteByte(']')
	return b.String()
}

// shortText is the length up to which a symbol, its length included, is copied without asking how long it is.
const shortText = 32

// key appends the key that the references stand for to the keys of the request, and says how many labels it has. A reference that leads nowhere is
// the series' fault; references that are no varints are one of the message. This loop is what a series of 2.0 costs.
func (r *Request) key(w *seriesWalk, refs []byte, at int) (key []byte, err error) {
	s := &r.v2
	symbols, message := s.symbols, s.message
	buf, start := s.keys[:cap(s.keys)], len(s.keys)
	end, n, name := start, 0, uint32(noSymbol)
	for i := 0; i < len(refs); n++ {
		ref := uint32(refs[i])
		if i++; ref >= 0x80 {
			if i < len(refs) && refs[i] < 0x80 {
				ref = ref&0x7f | uint32(refs[i])<<7
				i++
			} else {
				v, next := uvarint(refs, i-1)
				if next < 0 {
					return nil, malformed(at, "labels_refs of a time series are cut off")
				}
				ref, i = uint32(v), next
			}
		}
		if uint64(ref) >= uint64(len(symbols)) {
			w.blame(model.ReasonLabels, badRef("labels_refs", ref, len(symbols)))
			s.keys = buf[:end]
			return nil, nil
		}
		x := symbols[ref]
		off, size := int(x.off), int(x.n)
		if len(buf)-end < max(size, shortText) {
			if buf, err = r.moreKeys(buf, end, max(size, shortText)); err != nil {
				return nil, err
			}
		}
		if n&1 == 0 {
			name = ref
		} else if name == s.metricName && message[off] != 0 && message[off] != 0x80 {
			// Its length is not 0, in the one encoding of that or another; what this does not know for sure is looked at again.
			w.named, w.metric = true, ref
		}
		if size > shortText || off+shortText > len(message) {
			end += copy(buf[end:], message[off:off+size])
			continue
		}
		// Four words, whatever the length, cost less than a call that looks at it.
		dst, src := buf[end:end+shortText], message[off:off+shortText]
		binary.LittleEndian.PutUint64(dst[0:8], binary.LittleEndian.Uint64(src[0:8]))
		binary.LittleEndian.PutUint64(dst[8:16], binary.LittleEndian.Uint64(src[8:16]))
		binary.LittleEndian.PutUint64(dst[16:24], binary.LittleEndian.Uint64(src[16:24]))
		binary.LittleEndian.PutUint64(dst[24:32], binary.LittleEndian.Uint64(src[24:32]))
		end += size
	}
	// Whatever becomes of the series, its key is not written over: what a request can have written is bounded so.
	s.keys = buf[:end]
	if n&1 == 1 {
		w.blame(model.ReasonLabels, oddRefs("labels_refs", n))
		return nil, nil
	}
	w.labels = n / 2
	return buf[start:end:end], nil
}

// moreKeys returns the keys, of which the first used bytes are in use, with room for n more.
func (r *Request) moreKeys(keys []byte, used, n int) ([]byte, error) {
	more := max(n, min(used, keepBytes), 4<<10)
	if err := r.write(more); err != nil {
		return nil, err
	}
	grown := make([]byte, used+more)
	copy(grown, keys[:used])
	return grown, nil
}

func oddRefs(field string, n int) error {
	return fmt.Errorf("%s has %d references, an odd number, want names and values in turn: %w", field, n, model.ErrInvalid)
}

func badRef(field string, ref uint32, symbols int) error {
	return fmt.Errorf("%s has %d, which is not among the %d symbols of the request: %w", field, ref, symbols, model.ErrInvalid)
}
