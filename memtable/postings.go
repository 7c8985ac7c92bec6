package memtable

import (
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// postings is the label index of one tenant. Refs are entered in ascending order, so lists are sorted as they grow. What is read under the
// lock stays valid after it: lists only grow behind the length that was seen.
type postings struct {
	mu     sync.RWMutex // guards the rest
	all    []uint32
	byName map[string]map[string][]uint32
}

func newPostings() postings { return postings{byName: map[string]map[string][]uint32{}} }

// add enters a series and returns about how many bytes that took.
func (p *postings) add(ref uint32, ls labels.Labels) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes := 4
	p.all = append(p.all, ref)
	ls.Range(func(l labels.Label) {
		values := p.byName[l.Name]
		if values == nil {
			values = map[string][]uint32{}
			p.byName[l.Name] = values
			bytes += 128
		}
		list, ok := values[l.Value]
		if !ok {
			bytes += 64
		}
		values[l.Value] = append(list, ref)
		bytes += 6
	})
	return bytes
}

// refs returns the refs of all series, ascending.
func (p *postings) refs() []uint32 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.all
}

func (p *postings) len() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.all)
}

// candidates returns, ascending, refs of which the series that match all matchers are among.
func (p *postings) candidates(matchers []*labels.Matcher) []uint32 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var lists [][]uint32
	for _, m := range matchers {
		if m.Matches("") {
			continue // also matches series without the label
		}
		lists = append(lists, p.matching(m))
	}
	if len(lists) == 0 {
		return p.all
	}
	slices.SortFunc(lists, func(a, b []uint32) int { return len(a) - len(b) })
	out := lists[0]
	for _, l := range lists[1:] {
		if len(out) == 0 {
			break
		}
		out = intersect(out, l)
	}
	return out
}

// matching returns the refs whose value of the matcher's label matches.
func (p *postings) matching(m *labels.Matcher) []uint32 {
	values := p.byName[m.Name]
	if m.Type == labels.MatchEqual {
		return values[m.Value]
	}
	var out []uint32
	lists := 0
	take := func(list []uint32) {
		if len(list) > 0 {
			out = append(out, list...)
			lists++
		}
	}
	if set := m.SetMatches(); m.Type == labels.MatchRegexp && len(set) > 0 {
		for _, v := range set {
			take(values[v])
		}
	} else {
		for v, list := range values {
			if m.Matches(v) {
				take(list)
			}
		}
	}
	if lists > 1 {
		slices.Sort(out)
		out = slices.Compact(out)
	}
	return out
}

// intersect returns what is in both ascending lists; short is not the longer one.
func intersect(short, long []uint32) []uint32 {
	out := make([]uint32, 0, len(short))
	for _, ref := range short {
		at, found := gallop(long, ref)
		if found {
			out = append(out, ref)
		}
		long = long[at:]
	}
	return out
}

// gallop finds ref in the list by steps that double, so that neighbors are found at once.
func gallop(list []uint32, ref uint32) (int, bool) {
	step := 1
	for step < len(list) && list[step] < ref {
		step *= 2
	}
	lo := step / 2
	if lo >= len(list) {
		return len(list), false
	}
	at, found := slices.BinarySearch(list[lo:min(step+1, len(list))], ref)
	return lo + at, found
}
