package spill

import "github.com/varvedb/varve/model"

// Branch returns a sorter of its own that holds about budget bytes of samples, for what may turn out to be rubbish: Join takes its samples over, Close lets go of them. It is made, and
// closed, while s is open; several may be used at one time, each by one goroutine.
func (s *Sorter) Branch(budget int64) *Sorter {
	b := newSorter(s.files, budget, s.wins)
	b.siblings, b.branch, b.Stop = s.siblings, true, s.Stop
	return b
}

// Join adds all samples of a branch, behind those that came before, and leaves it empty. It counts as an Add. After an error both are only good for Close.
func (s *Sorter) Join(b *Sorter) error {
	if len(b.runs) > 0 {
		if err := s.spill(); err != nil { // what came before has to lie before
			return err
		}
	}
	for len(b.runs) > 0 {
		r := b.runs[0]
		b.runs = b.runs[1:]
		r.level = 0 // else runs of many levels may alternate, and never be merged
		s.spilled++
		if err := s.addRun(r); err != nil {
			return err
		}
	}
	for day, n := range b.counts {
		if s.counts[day] == nil {
			s.counts[day] = new(int64)
		}
		*s.counts[day] += *n
	}
	var key []byte
	for _, from := range b.all {
		if from.columns.Len() == 0 {
			continue
		}
		key = from.labels.Bytes(key)
		to := s.open[string(key)]
		if to == nil {
			to = s.Open(key, from.labels)
		}
		s.held += to.take(from)
		if s.held >= s.budget {
			if err := s.spill(); err != nil {
				return err
			}
		}
	}
	b.begin()
	b.counts, b.dayCount = map[model.Day]*int64{}, nil
	return nil
}

// take adds all samples of a series, and returns what they take in memory.
func (o *Open) take(from *Open) (bytes int64) {
	to, c := &o.columns, &from.columns
	bytes = sampleBytes * int64(c.Len())
	for _, h := range c.H {
		bytes += int64(len(h))
	}
	n := to.Len()
	o.sorted = o.sorted && from.sorted && (n == 0 || to.T[n-1] < c.T[0])
	switch {
	case n == 0:
		*to = *c
	case to.H == nil && c.H == nil:
		to.T, to.V = append(to.T, c.T...), append(to.V, c.V...)
	default:
		for i := range c.T {
			to.AppendAt(c, i)
		}
	}
	from.columns = model.Columns{}
	return bytes
}
