package index

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// question is a matcher put to the series of one page. It asks the matcher once for each value, and only for those it meets.
type question struct {
	m    *labels.Matcher
	name int // number of the label name, -1 if no series of the page has it
	// empty is the answer for a series without the label.
	empty bool
	// never: no series of the page can match.
	never bool
	// only is the number of the one value that matches, -1 if that is not known.
	only int
	// has says for each pattern whether it has the name.
	has []bool
	// answers by value: 0 is not asked yet.
	answers []answer
}

type answer uint8

const (
	yes answer = 1 + iota
	no
)

func (p *Page) ask(m *labels.Matcher) question {
	q := question{m: m, empty: m.Matches(""), only: -1}
	q.name = slices.IndexFunc(p.names, func(n pageName) bool { return n.name == m.Name })
	if q.name < 0 {
		q.never = !q.empty
		return q
	}
	values := p.names[q.name].values
	if m.Type == labels.MatchEqual && !q.empty {
		if q.only = slices.Index(values, m.Value); q.only < 0 {
			q.never = true
			return q
		}
	}
	if q.only < 0 {
		q.answers = make([]answer, len(values))
	}
	q.has = make([]bool, len(p.patterns))
	for i := range p.patterns {
		q.has[i] = slices.Contains(p.patterns[i].labels, uint32(q.name))
	}
	return q
}

// matches reports whether all matchers match the series.
func (s *Entry) matches() bool {
	for i := range s.questions {
		q := &s.questions[i]
		if q.name < 0 || !q.has[s.pattern] {
			if !q.empty {
				return false
			}
			continue
		}
		id := s.now[q.name].id
		if q.only >= 0 {
			if id != q.only {
				return false
			}
			continue
		}
		if q.answers[id] == 0 {
			q.answers[id] = no
			if q.m.Matches(s.p.names[q.name].values[id]) {
				q.answers[id] = yes
			}
		}
		if q.answers[id] == no {
			return false
		}
	}
	return true
}
