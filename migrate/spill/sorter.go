package spill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

// Winner says which of two samples of one series and time is kept.
type Winner bool

const (
	// FirstWins keeps the one that came first.
	FirstWins Winner = false
	// LastWins keeps the one that came last.
	LastWins Winner = true
)

// Sorter puts samples that come in any order into the order of blocks, day by day. It holds a bounded number of them and writes the rest as sorted runs into a
// directory of its own. Add and Finish are called by one goroutine; then Series and Counts by any number of them; Close last.
type Sorter struct {
	// Stop, if there is one, is asked now and then while runs are sorted, written and merged, which may take long; its error ends that. Branches get it too.
	Stop func() error

	files  *runFiles
	branch bool // of a sorter, which closes the files
	budget int64
	wins   Winner

	held   int64 // bytes of series and samples
	series int64 // of which those of series
	open   map[string]*Open
	// same has a series of open by the hash of its labels, as several keys may be of one series: its samples stay in the order in which they came.
	same map[uint64]*Open
	// all are the series of open; those that were there when a run was written last are in order.
	all        []*Open
	generation int // of open, which is begun anew when it is too large
	runs       []*run
	siblings   int // see maxSiblings
	spilled    int // runs that were written of what was held
	counts     map[model.Day]*int64
	// dayCount is that of day, the last one that was counted.
	day      model.Day
	dayCount *int64
}

// Open is a series that is being gathered, good as long as the sorter holds it.
type Open struct {
	generation int
	labels     labels.Labels
	metric     string
	columns    model.Columns // in the order in which they came
	sorted     bool          // which is strictly ascending
}

// What a series, another key of it and a sample take in memory, about.
const (
	seriesBytes = 340
	keyBytes    = 60
	sampleBytes = 24
)

// maxDays bounds the days of one source: thirty years. More of them are a clock that was wrong, or a wrong unit of time.
const maxDays = 11_000

// New returns a sorter that holds about budget bytes of samples, and makes its directory in parent ("": that of the system) when they do not do.
func New(parent string, budget int64, wins Winner) *Sorter {
	return newSorter(&runFiles{parent: parent}, budget, wins)
}

func newSorter(files *runFiles, budget int64, wins Winner) *Sorter {
	return &Sorter{files: files, budget: max(budget, 1<<16), wins: wins, siblings: maxSiblings, open: map[string]*Open{}, same: map[uint64]*Open{}, counts: map[model.Day]*int64{}}
}

// Add adds a sample of the series with the key, whose labels are asked for if it is new: h if it is not nil, else v. h is kept. A timestamp outside the years that are kept is the
// caller's to refuse.
func (s *Sorter) Add(key []byte, ls func() (labels.Labels, error), t int64, v float64, h []byte) error {
	o := s.open[string(key)]
	if o == nil {
		l, err := ls()
		if err != nil {
			return err
		}
		o = s.Open(key, l)
	}
	return s.Put(o, t, v, h)
}

// Find returns the series with the key if it is being gathered, else nil.
func (s *Sorter) Find(key []byte) *Open { return s.open[string(key)] }

// Open begins to gather a series that Find does not have, unless it is one that is gathered under another key.
func (s *Sorter) Open(key []byte, ls labels.Labels) *Open {
	hash := ls.Hash()
	o := s.same[hash]
	if o != nil && labels.Equal(o.labels, ls) {
		s.open[string(key)] = o
		size := keyBytes + int64(len(key))
		s.held, s.series = s.held+size, s.series+size
		return o
	}
	o = &Open{generation: s.generation, labels: ls, metric: ls.Get(index.MetricName), sorted: true}
	s.open[string(key)], s.same[hash] = o, o
	s.all = append(s.all, o)
	size := seriesBytes + int64(len(key)) + int64(ls.Len())*32
	s.held, s.series = s.held+size, s.series+size
	return o
}

// Holds reports whether a series is still being gathered. If not, Find and Open are to be asked again.
func (s *Sorter) Holds(o *Open) bool { return o.generation == s.generation }

// Put adds a sample to a series, as Add does.
func (s *Sorter) Put(o *Open, t int64, v float64, h []byte) error {
	c := &o.columns
	if n := c.Len(); n > 0 && t <= c.T[n-1] {
		o.sorted = false
	}
	if h != nil {
		c.AppendHistogram(t, h)
	} else {
		c.Append(t, v)
	}
	s.held += sampleBytes + int64(len(h))
	s.countDay(t)
	if s.held >= s.budget {
		return s.spill()
	}
	return nil
}

// countDay counts a sample. Most samples are of the day of the one before.
func (s *Sorter) countDay(t int64) {
	day := model.DayOf(t)
	if s.dayCount == nil || day != s.day {
		n := s.counts[day]
		if n == nil {
			n = new(int64)
			s.counts[day] = n
		}
		s.day, s.dayCount = day, n
	}
	*s.dayCount++
}

// AddColumns adds samples of a series. What is in c is copied, histograms excepted.
func (s *Sorter) AddColumns(ls labels.Labels, c *model.Columns) error {
	key := ls.Bytes(nil)
	var o *Open
	for i, t := range c.T {
		var h []byte
		if c.H != nil {
			h = c.H[i]
		}
		if o == nil || !s.Holds(o) {
			if o = s.Find(key); o == nil {
				o = s.Open(key, ls)
			}
		}
		if err := s.Put(o, t, c.V[i], h); err != nil {
			return err
		}
	}
	return nil
}

// Finish ends the adding.
func (s *Sorter) Finish() error {
	if len(s.counts) > maxDays {
		return fmt.Errorf("samples lie on %d days, at most %d: a wrong unit of time? %w", len(s.counts), maxDays, model.ErrInvalid)
	}
	return s.spill()
}

// spill writes what is held as a run.
func (s *Sorter) spill() error {
	if len(s.open) == 0 {
		return nil
	}
	all, err := s.gathered()
	if err != nil {
		return fmt.Errorf("sort: %w", err)
	}
	if len(all) == 0 {
		return nil
	}
	r, err := s.writeRun(all)
	if err != nil {
		return fmt.Errorf("sort: write run %d: %w", s.spilled, err)
	}
	s.spilled++
	s.forget()
	return s.addRun(r)
}

// gathered are the series that have samples, in order, each once.
func (s *Sorter) gathered() ([]*Open, error) {
	if err := s.sort(); err != nil {
		return nil, err
	}
	all := make([]*Open, 0, len(s.all))
	for _, o := range s.all {
		if o.columns.Len() == 0 {
			continue
		}
		if !o.sorted {
			if err := s.stopped(); err != nil {
				return nil, err
			}
			o.columns = *ordered(&o.columns, s.wins)
		}
		all = append(all, o)
	}
	return s.unite(all), nil
}

// askEvery is after how many comparisons it is asked whether to stop.
const askEvery = 4096

// sort puts all series in order. Mostly those of the run before are in it.
func (s *Sorter) sort() error {
	var stopped error
	n := 0
	slices.SortStableFunc(s.all, func(a, b *Open) int {
		if n++; n%askEvery == 0 && stopped == nil {
			stopped = s.stopped()
		}
		if stopped != nil {
			return 0 // so the rest takes no time
		}
		if c := strings.Compare(a.metric, b.metric); c != 0 {
			return c
		}
		return labels.Compare(a.labels, b.labels)
	})
	return stopped
}

// forget lets go of the samples, and of the series if they take much.
func (s *Sorter) forget() {
	if s.series <= s.budget/2 {
		for _, o := range s.all {
			o.columns, o.sorted = model.Columns{}, true
		}
		s.held = s.series
		return
	}
	s.begin()
}

// begin lets go of all series.
func (s *Sorter) begin() {
	s.open, s.same, s.all, s.held, s.series = map[string]*Open{}, map[uint64]*Open{}, nil, 0, 0
	s.generation++
}

// unite makes one of neighbours that have the same labels, which a collision of hashes kept apart, in the order of their first samples.
func (s *Sorter) unite(all []*Open) []*Open {
	out := all[:0]
	for i := 0; i < len(all); {
		k := i + 1
		for k < len(all) && labels.Equal(all[k].labels, all[i].labels) {
			k++
		}
		same := all[i:k]
		i = k
		if len(same) > 1 {
			slices.SortStableFunc(same, func(a, b *Open) int { return cmp.Compare(a.columns.T[0], b.columns.T[0]) })
			c := &same[0].columns
			for _, o := range same[1:] {
				for n := range o.columns.T {
					c.AppendAt(&o.columns, n)
				}
			}
			*c = *ordered(c, s.wins)
		}
		out = append(out, same[0])
	}
	return out
}

// ordered returns the samples in order of time, one a timestamp.
func ordered(c *model.Columns, wins Winner) *model.Columns {
	type place struct {
		t int64
		i int
	}
	at := make([]place, c.Len())
	for i, t := range c.T {
		at[i] = place{t, i}
	}
	slices.SortFunc(at, func(a, b place) int { return cmp.Or(cmp.Compare(a.t, b.t), cmp.Compare(a.i, b.i)) })
	out := &model.Columns{T: make([]int64, 0, len(at)), V: make([]float64, 0, len(at))}
	for k, p := range at {
		if wins == LastWins && k+1 < len(at) && at[k+1].t == p.t || wins == FirstWins && k > 0 && at[k-1].t == p.t {
			continue
		}
		out.AppendAt(c, p.i)
	}
	return out
}

// Counts are the samples that were added, by day.
func (s *Sorter) Counts() map[model.Day]int64 {
	out := make(map[model.Day]int64, len(s.counts))
	for d, n := range s.counts {
		out[d] = *n
	}
	return out
}

// Runs is how often what was held was written.
func (s *Sorter) Runs() int { return s.spilled }

// Series are those of a day, in order. Finish was called.
func (s *Sorter) Series(ctx context.Context, day model.Day) iter.Seq2[model.Series, error] {
	return Merged(ctx, sections(s.runs, day), s.wins)
}

// Close removes the runs. Branches are closed before.
func (s *Sorter) Close() error {
	var errs []error
	for _, r := range s.runs {
		if s.branch {
			errs = append(errs, r.remove())
		} else {
			errs = append(errs, r.f.Close())
		}
	}
	s.runs = nil
	if !s.branch {
		errs = append(errs, s.files.close())
	}
	return errors.Join(errs...)
}
