package index

import (
	"math/bits"

	"github.com/prometheus/prometheus/model/labels"
)

// Head is the parsed head of the postings.
type Head struct {
	// Groups are the groups of series in order.
	Groups []HeadGroup
	// Names are the label names of the block, ascending.
	Names []string
}

// HeadGroup is one group of series as the postings head knows it.
type HeadGroup struct {
	// Offset and Length are those of its series page, relative to the section of the series pages. Several groups may have the same.
	Offset, Length int64
	// First is the ordinal of the first series, Series their number.
	First, Series int
	// ChunkOffset is where the data of the group begins.
	ChunkOffset int64
}

// maxNames bounds the bytes of all label names of a block.
const maxNames = 64 << 20

// maxGroups bounds the groups of a block that a reader takes: 64 GiB of chunks.
const maxGroups = 1 << 20

// ParseHead parses the raw postings head of a block with that many series.
func ParseHead(raw []byte, series int64) (*Head, error) {
	r := reader{b: raw}
	h := &Head{Groups: make([]HeadGroup, r.count(min(len(raw)/3, maxGroups)))}
	var at HeadGroup
	for i := range h.Groups {
		if n := int64(r.count(1 << 30)); n > 0 || i == 0 {
			at.Offset, at.Length = at.Offset+at.Length, n
		}
		at.Series = r.count(maxPageSeries)
		at.ChunkOffset += r.varint()
		h.Groups[i] = at
		at.First += at.Series
	}
	if r.bad || int64(at.First) != series {
		return nil, corrupt("head of the postings: %d series, block has %d", at.First, series)
	}
	h.Names = make([]string, 0, r.count(len(r.b)/2))
	prev, total := "", 0
	for range cap(h.Names) {
		prev = prev[:r.count(len(prev))] + string(r.bytes())
		_ = r.uvarint() // number of values, for tools
		h.Names = append(h.Names, prev)
		// Front coding could blow up a small page to the square of its size.
		if total += len(prev); r.bad || total > maxNames {
			r.fail()
			break
		}
	}
	if r.bad || len(r.b) != 0 {
		return nil, corrupt("label names in the head of the postings")
	}
	return h, nil
}

// ScanPostings calls fn for each entry of a raw postings page in order, until fn returns false. Name, value and list
// are valid during the call only.
func ScanPostings(raw []byte, fn func(name, value, list []byte) (more bool, err error)) error {
	r := reader{b: raw}
	var n [4]int
	for i := range n {
		n[i] = r.count(len(raw))
	}
	keys, text, sizes, lists := reader{b: r.take(n[0])}, reader{b: r.take(n[1])}, reader{b: r.take(n[2])}, reader{b: r.take(n[3])}
	bad := r.bad || len(r.b) != 0
	var name, value []byte
	for len(keys.b) > 0 && !bad {
		if u := keys.uvarint(); u > 0 {
			name, value = text.take(int(min(u-1, maxNames))), value[:0]
		} else if name == nil {
			break
		}
		value = append(value[:keys.count(len(value))], text.take(keys.count(len(text.b)))...)
		list := lists.take(sizes.count(len(lists.b)))
		if bad = keys.bad || text.bad || sizes.bad || lists.bad || len(list) == 0; bad {
			break
		}
		more, err := fn(name, value, list)
		if err != nil || !more {
			return err
		}
	}
	if bad || len(keys.b)+len(text.b)+len(sizes.b)+len(lists.b) != 0 {
		return corrupt("postings page")
	}
	return nil
}

// Set is a set of ordinals of a block's series.
type Set []uint64

// NewSet returns an empty set for n series.
func NewSet(n int) Set { return make(Set, (n+63)/64) }

// Has reports whether ordinal i is in the set.
func (s Set) Has(i int) bool { return s[i>>6]>>(i&63)&1 == 1 }

// Any reports whether an ordinal of [from, to) is in the set.
func (s Set) Any(from, to int) bool {
	for i := from; i < to; {
		w := s[i>>6] >> (i & 63)
		if w != 0 {
			return i+bits.TrailingZeros64(w) < to
		}
		i = (i | 63) + 1
	}
	return false
}

// And keeps what is in o too.
func (s Set) And(o Set) {
	for i := range s {
		s[i] &= o[i]
	}
}

// AndNot takes away what is in o.
func (s Set) AndNot(o Set) {
	for i := range s {
		s[i] &^= o[i]
	}
}

// Fill adds the ordinals [0, n).
func (s Set) Fill(n int) {
	for i := range s {
		s[i] = ^uint64(0)
	}
	if n&63 != 0 {
		s[len(s)-1] = 1<<(n&63) - 1
	}
}

// AddList adds a list of a postings page for n series.
func (s Set) AddList(list []byte, n int) error {
	r := reader{b: list}
	at := -1
	for len(r.b) > 0 {
		u := r.uvarint()
		repeats := 1
		if u&1 == 1 {
			repeats += 1 + r.count(n)
		}
		if r.bad || u>>1 >= uint64(n) {
			return corrupt("postings list")
		}
		gap := int(u>>1) + 1
		if gap*repeats > n-1-at {
			return corrupt("postings list reaches past %d series", n)
		}
		for range repeats {
			at += gap
			s[at>>6] |= 1 << (at & 63)
		}
	}
	return nil
}

// Narrow evaluates one matcher on the raw postings pages that hold the values of its label (see FindPostings), for n series. It returns the set of series with a value for which the matcher's answer is want.
func Narrow(pages [][]byte, m *labels.Matcher, want bool, n int) (Set, error) {
	s := NewSet(n)
	for _, raw := range pages {
		err := ScanPostings(raw, func(name, value, list []byte) (bool, error) {
			if c := string(name); c != m.Name {
				return c < m.Name, nil
			}
			if m.Matches(string(value)) != want {
				return true, nil
			}
			return true, s.AddList(list, n)
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}
