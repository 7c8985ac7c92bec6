package blocks

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/model"
)

// MergeOptions are the tunables of a Merger; nil means all defaults.
type MergeOptions struct {
	// ReadBytes bounds what is held of all inputs together: windows fetched and on their way, and decoded
	// timestamps; pages being decoded come on top, about half a MiB an input. Default 32 MiB.
	ReadBytes int64
	// MaxSeriesSamples bounds the samples of one series, which are in memory at one time. Default 4 Mi.
	MaxSeriesSamples int
	// Sequential starts no goroutine and makes one request at a time, for tests that need a fixed order.
	Sequential bool
	// Masks hide samples of the inputs, by their index: they are dropped before anything is merged, so that what an earlier input has
	// lost does not cost a later one its sample at the same time. nil is none.
	Masks []Masks
}

const (
	defaultReadBytes        = 32 << 20
	defaultMaxSeriesSamples = 4 << 20
)

// withDefaults returns the options with what is not set.
func (o *MergeOptions) withDefaults() (out MergeOptions) {
	if o != nil {
		out = *o
	}
	if out.ReadBytes <= 0 {
		out.ReadBytes = defaultReadBytes
	}
	if out.MaxSeriesSamples <= 0 {
		out.MaxSeriesSamples = defaultMaxSeriesSamples
	}
	return out
}

// InputError is a fault met while reading one block of a merge.
type InputError struct {
	ID  string
	Err error
}

func (e *InputError) Error() string { return "merge input " + e.ID + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }

// Merger streams the series of several blocks of one partition in the order of a block, each once, with the samples of
// all; of samples with one timestamp that of the later input stays. Memory does not grow with the inputs (see MergeOptions), and each
// byte of them is read once, from front to back, postings not at all. Everything read is checked as in Select, and at the end of a
// block that it held what its Meta says.
//
// Not safe for concurrent use. Close waits for requests on their way.
type Merger struct {
	opts   MergeOptions
	inputs []mergeSource
	// heap holds the inputs that are at a series, the least key first, and of equal keys the one of the lowest priority.
	heap    []mergeSource
	begun   bool
	err     error
	key     []byte
	columns model.Columns
	scratch model.Columns
	// found is the series at hand that was not yielded yet, if ready.
	found BuildSeries
	ready bool

	read    int64 // samples
	written int64
}

// NewMerger returns a Merger of the blocks, the one that wins last. It reads nothing yet.
func NewMerger(r RangeReader, inputs []*Meta, opts *MergeOptions) *Merger {
	m := &Merger{opts: opts.withDefaults()}
	budget := m.opts.ReadBytes / int64(max(1, len(inputs)))
	for i, meta := range inputs {
		m.inputs = append(m.inputs, newMergeSource(r, meta, i, budget, m.opts.Sequential))
	}
	return m
}

// More reports whether a series is left. It reads up to it.
func (m *Merger) More(ctx context.Context) (bool, error) {
	if m.err == nil && !m.begun {
		m.begun = true
		m.err = m.begin(ctx)
	}
	for m.err == nil && !m.ready && len(m.heap) > 0 {
		m.found, m.err = m.next(ctx)
		m.ready = m.err == nil && m.columns.Len() > 0 // else all of it is masked
	}
	return m.ready, m.err
}

// Series yields the series that are left, as long as more holds, which is asked before each one; so the outcome can be cut into several blocks. Called
// again, it goes on. The columns are valid until the next series. An error ends it for good: an *InputError if an input cannot be read, or
// one that wraps model.ErrLimit if a series is too long.
func (m *Merger) Series(ctx context.Context, more func() bool) iter.Seq2[BuildSeries, error] {
	return func(yield func(BuildSeries, error) bool) {
		for {
			ok, err := m.More(ctx)
			if err != nil {
				yield(BuildSeries{}, err)
				return
			}
			if !ok || !more() {
				return
			}
			m.ready = false
			if !yield(m.found, nil) {
				return
			}
		}
	}
}

// Done reports whether all series were yielded. Where inputs are masked there may be nothing left though it does not hold yet: see More.
func (m *Merger) Done() bool { return m.begun && m.err == nil && !m.ready && len(m.heap) == 0 }

// Progress is how many bytes of the inputs were used, and of how many.
func (m *Merger) Progress() (done, total int64) {
	for _, in := range m.inputs {
		done += in.read()
		total += in.meta().SeriesPages.Length + in.meta().Chunks.Length
	}
	return done, total
}

// Samples is how many samples were read, and how many of them were yielded; the others had a later one at their timestamp, or were masked.
func (m *Merger) Samples() (read, yielded int64) { return m.read, m.written }

// Close waits for requests on their way. The context of Series should have ended, or Series have been read to the end.
func (m *Merger) Close() {
	for _, in := range m.inputs {
		in.close()
	}
}

func (m *Merger) begin(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, in := range m.inputs {
		fetch := func() error {
			if err := in.fetchFirst(gctx); err != nil {
				return &InputError{in.meta().ID, err}
			}
			return nil
		}
		if !m.opts.Sequential {
			g.Go(fetch)
		} else if err := fetch(); err != nil {
			return err
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, in := range m.inputs {
		ok, err := in.begin(ctx)
		if err != nil {
			return &InputError{in.meta().ID, err}
		}
		if ok {
			m.heap = append(m.heap, in)
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return nil
}

// next takes the least series off all inputs that have it.
func (m *Merger) next(ctx context.Context) (BuildSeries, error) {
	first := m.heap[0]
	m.key = append(m.key[:0], first.cursor().Key()...)
	ls := first.cursor().Labels()
	m.columns.Reset()
	for len(m.heap) > 0 && bytes.Equal(m.heap[0].cursor().Key(), m.key) {
		in := m.heap[0]
		n := m.columns.Len()
		if err := in.samples(ctx, &m.columns); err != nil {
			return BuildSeries{}, &InputError{in.meta().ID, err}
		}
		m.read += int64(m.columns.Len() - n)
		m.mask(in, ls, n)
		if n > 0 && n < m.columns.Len() && m.columns.T[n] <= m.columns.T[n-1] {
			mergeTail(&m.columns, &m.scratch, n)
		}
		if m.columns.Len() > m.opts.MaxSeriesSamples {
			return BuildSeries{}, fmt.Errorf("series %.200s has more than %d samples: %w", ls, m.opts.MaxSeriesSamples, model.ErrLimit)
		}
		if err := m.advance(ctx); err != nil {
			return BuildSeries{}, err
		}
	}
	if planted.On(planted.MaskAfterMerge) {
		m.maskMerged(ls)
	}
	m.written += int64(m.columns.Len())
	return BuildSeries{Labels: ls, Columns: &m.columns}, nil
}

// advance moves the first input of the heap to its next series.
func (m *Merger) advance(ctx context.Context) error {
	in := m.heap[0]
	ok, err := in.next(ctx)
	if err != nil {
		return &InputError{in.meta().ID, err}
	}
	if !ok {
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	}
	m.down(0)
	return nil
}

func (m *Merger) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.heap); child++ {
			if before(m.heap[child], m.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}

// mergeSource is one block of a merge, at one of its series.
type mergeSource interface {
	meta() *Meta
	// cursor stands at the series.
	cursor() *index.Cursor
	// rank is the priority: the higher wins.
	rank() int
	// fetchFirst reads what a start takes, begin goes to the first series and next to the one after; they report whether there is one.
	fetchFirst(ctx context.Context) error
	begin(ctx context.Context) (bool, error)
	next(ctx context.Context) (bool, error)
	// samples appends all samples of the series to dst. It is called once for each series.
	samples(ctx context.Context, dst *model.Columns) error
	// read is how many bytes of the sections were used.
	read() int64
	close()
}

func newMergeSource(r RangeReader, m *Meta, priority int, budget int64, sequential bool) mergeSource {
	if m.Format == Parquet {
		return newRowInput(r, m, priority, budget, sequential)
	}
	return newMergeInput(r, m, priority, budget, sequential)
}

func before(a, b mergeSource) bool {
	if c := bytes.Compare(a.cursor().Key(), b.cursor().Key()); c != 0 {
		return c < 0
	}
	return a.rank() < b.rank()
}
