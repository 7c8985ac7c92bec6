package columnar

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// evaluated is one series after its function.
type evaluated struct {
	labels labels.Labels
	key    uint64 // of its group, if there is an aggregation
	// values are those of all steps; only those of [from, to) mean something, count of them are present.
	values          []float64
	from, to, count int
}

// result is one series of a part's answer.
type result struct {
	labels labels.Labels
	// values are those of the steps from from on; others have none.
	from   int
	values []float64
}

// evaluation is one part being evaluated over the answer of the storage.
type evaluation struct {
	part  *part
	grid  grid
	meter *meter

	annotations annotations.Annotations
	// values are those of batches that were reduced, for batches to come.
	values [][]float64
	// samples is what the windows held in sum, fresh how many of them were new to a window.
	samples, fresh int64
}

// batch is a run of series that one worker evaluates.
type batch struct {
	series []storage.Series
	out    []evaluated
	values []float64 // of all of out
	held   int64
	done   chan struct{} // closed when the rest is set; nil if it was evaluated at once
	err    error
}

// batchSteps is how many values a batch has at most, about; maxBatch bounds its series.
const (
	batchSteps = 1 << 16
	maxBatch   = 256
)

// run evaluates the part. The set is read by the calling goroutine, and what comes of batches is reduced there in order; workers do the
// rest beside it, and a bounded number of batches is under way at a time.
func (e *evaluation) run(ctx context.Context, set storage.SeriesSet) ([]result, error) {
	size := e.batchSize()
	reduce := newReducer(e.part.aggregation, e.grid.n, e.meter)
	first, more := nextBatch(set, size)
	if len(first.series) > 0 {
		e.meter.use(first.series[0])
	}
	if !more {
		w := e.newWorker()
		err := e.reduce(reduce, w.evaluate(ctx, first))
		e.merge(w)
		if err != nil {
			return nil, err
		}
		return reduce.results()
	}
	err := e.parallel(ctx, set, first, size, reduce)
	if err != nil {
		return nil, err
	}
	return reduce.results()
}

// batchSize is such that the batches under way stay well below the limit of samples.
func (e *evaluation) batchSize() int {
	steps := min(batchSteps, int(e.meter.limit/int64(8*runtime.GOMAXPROCS(0))))
	return max(1, min(maxBatch, steps/e.grid.n))
}

// nextBatch reads series and reports whether there may be more.
func nextBatch(set storage.SeriesSet, size int) (*batch, bool) {
	b := &batch{series: make([]storage.Series, 0, size)}
	for len(b.series) < size {
		if !set.Next() {
			return b, false
		}
		b.series = append(b.series, set.At())
	}
	return b, true
}

func (e *evaluation) parallel(ctx context.Context, set storage.SeriesSet, first *batch, size int, reduce reducer) (err error) {
	n := runtime.GOMAXPROCS(0)
	queue := make(chan *batch, n)
	workers := make([]*worker, n)
	ended := make(chan struct{}, n)
	ctx, cancel := context.WithCancel(ctx)
	for i := range workers {
		w := e.newWorker()
		workers[i] = w
		go func() {
			defer func() { ended <- struct{}{} }()
			for b := range queue {
				w.evaluate(ctx, b)
				close(b.done)
			}
		}()
	}
	defer func() {
		close(queue)
		if err != nil {
			cancel() // so that what is under way ends soon
		}
		for range workers {
			<-ended
		}
		cancel()
		for _, w := range workers {
			e.merge(w)
		}
	}()
	var under []*batch
	oldest := func() error {
		b := under[0]
		under = under[1:]
		<-b.done
		return e.reduce(reduce, b)
	}
	for b, more := first, true; len(b.series) > 0; {
		b.done = make(chan struct{})
		if last := len(e.values) - 1; last >= 0 {
			b.values, e.values = e.values[last], e.values[:last]
		}
		queue <- b
		if under = append(under, b); len(under) >= 2*n {
			if err := oldest(); err != nil {
				return err
			}
		}
		if !more {
			break
		}
		b, more = nextBatch(set, size)
	}
	for len(under) > 0 {
		if err := oldest(); err != nil {
			return err
		}
	}
	return nil
}

// reduce adds the series of a batch that have values.
func (e *evaluation) reduce(r reducer, b *batch) error {
	if b.err != nil {
		return b.err
	}
	for i := range b.out {
		if b.out[i].count == 0 {
			continue
		}
		if err := r.add(&b.out[i]); err != nil {
			return err
		}
	}
	e.meter.release(b.held)
	e.values = append(e.values, b.values)
	return nil
}

// merge takes over what a worker has to say beside values.
func (e *evaluation) merge(w *worker) {
	e.annotations.Merge(w.annotations)
	e.annotations.Merge(w.series.call.annotations)
	e.samples += w.samples
	e.fresh += w.fresh
	e.meter.give(w.columns * sampleBytes)
	w.columns = 0
}

// worker evaluates series one after the other. Used by one goroutine.
type worker struct {
	*evaluation
	series      series
	buf         []byte
	lastMetric  string
	annotations annotations.Annotations
	samples     int64
	fresh       int64
	columns     int64 // the room for samples of the series, as far as it is accounted for
}

func (e *evaluation) newWorker() *worker {
	w := &worker{evaluation: e}
	w.series.kept = newKeptWindows(e.grid, e.part.spanMs, e.part.offsetMs)
	return w
}

// evaluate fills the batch and returns it.
func (w *worker) evaluate(ctx context.Context, b *batch) *batch {
	n := w.grid.n
	w.series.ctx = ctx
	b.values = grown(b.values, n*len(b.series))
	b.out = make([]evaluated, len(b.series))
	for i, s := range b.series {
		if b.err = ended(ctx); b.err != nil {
			return b
		}
		out := &b.out[i]
		out.values = b.values[i*n : (i+1)*n : (i+1)*n]
		if b.err = w.one(s, out); b.err != nil {
			return b
		}
		held := max(int64(out.count), int64(n/2))
		b.held += held
		if b.err = w.meter.hold(held); b.err != nil {
			return b
		}
	}
	b.series = nil
	return b
}

// one evaluates one series. Functions of the engine panic with an error where they cannot go on.
func (w *worker) one(from storage.Series, out *evaluated) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("unexpected error: %w", p)
		case error:
			err = p
		default:
			err = fmt.Errorf("%v", p)
		}
	}()
	s, f := &w.series, w.part.function
	if err := s.load(from, f.markers); err != nil {
		return err
	}
	if grew := int64(cap(s.columns.T)) - w.columns; grew > 0 {
		if err := w.meter.take(grew * sampleBytes); err != nil {
			return err
		}
		w.columns += grew
	}
	s.windows = s.kept.find(s.t)
	if s.windows.longest == 0 {
		return nil
	}
	if err := w.meter.hold(int64(s.windows.longest)); err != nil {
		return err
	}
	defer w.meter.release(int64(s.windows.longest))
	out.labels = from.Labels()
	if s.call.matrix != nil {
		s.call.matrix[0].Metric = out.labels
	}
	first := s.windows.first
	if err := f.eval(s, out.values[first:first+len(s.windows.at)]); err != nil {
		return err
	}
	out.measure(first, first+len(s.windows.at))
	w.count(out)
	if out.count == 0 {
		return nil
	}
	if f.counter {
		w.remark(out.labels.Get(metricName))
	}
	if a := w.part.aggregation; a != nil {
		out.key, w.buf = a.key(out.labels, w.buf)
	}
	return nil
}

// measure finds where values are among the steps [from, to).
func (e *evaluated) measure(from, to int) {
	for i, f := range e.values[from:to] {
		if isAbsent(f) {
			continue
		}
		if e.count == 0 {
			e.from = from + i
		}
		e.count++
		e.to = from + i + 1
	}
}

// count notes the samples as the engine does: those of each window, of an instant vector one a step.
func (w *worker) count(out *evaluated) {
	if w.part.call == nil {
		w.samples += int64(out.count)
		w.fresh += int64(out.count)
		return
	}
	w.samples += w.series.windows.samples
	w.fresh += w.series.windows.fresh
}

// remark makes the engine's annotation for metrics that do not look like counters.
func (w *worker) remark(metric string) {
	if metric == "" || metric == w.lastMetric {
		return
	}
	w.lastMetric = metric
	for _, suffix := range [...]string{"_total", "_sum", "_count", "_bucket"} {
		if strings.HasSuffix(metric, suffix) {
			return
		}
	}
	w.annotations.Add(annotations.NewPossibleNonCounterInfo(metric, w.part.call.Args[0].PositionRange()))
}
