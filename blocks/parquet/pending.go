package parquet

import (
	"bytes"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// pendingMetric holds the series of a metric until it ends or turns out to be big, for a big metric begins a range: whoever reads the
// small ones before it would have to read past it in every window.
type pendingMetric struct {
	metric string
	big    bool // nothing is held any more
	rows   [Windows]int
	// series are held, the first n of them; those behind lend their memory.
	series         []heldSeries
	n              int
	samples, bytes int
}

type heldSeries struct {
	labels labels.Labels
	c      model.Rollup
}

// pend holds the series, or adds it at once if its metric is known to be big.
func (w *Writer) pend(ls labels.Labels, c *model.Rollup) error {
	p := &w.pending
	if metric := metricText(ls); metric != p.metric {
		if err := w.settle(); err != nil {
			return err
		}
		p.metric = metric
	}
	if p.big {
		return w.place(ls, c)
	}
	p.hold(ls, c)
	from := 0
	for i, to := range w.split(c.T) {
		p.rows[i] += to - from
		p.big = p.big || p.rows[i] >= rangeRows
		from = to
	}
	if p.big = p.big || p.n >= pendingSeries || p.bytes >= pendingBytes; !p.big {
		return nil
	}
	if err := w.closeRange(); err != nil {
		return err
	}
	return w.release()
}

// settle ends the metric: a small one goes to the open range, a big one ends its own.
func (w *Writer) settle() error {
	err := w.release()
	if err == nil && w.pending.big {
		err = w.closeRange()
	}
	w.pending.big, w.pending.rows = false, [Windows]int{}
	return err
}

// release adds all series that are held.
func (w *Writer) release() error {
	p := &w.pending
	for i := range p.series[:p.n] {
		s := &p.series[i]
		if err := w.place(s.labels, &s.c); err != nil {
			return err
		}
		s.labels = labels.EmptyLabels()
		s.c.H = nil
	}
	if p.bytes > pendingBytes/2 || p.n > pendingSeries/2 {
		p.series = nil // rare giants do not keep their memory
	}
	p.n, p.samples, p.bytes = 0, 0, 0
	return nil
}

// hold copies the series.
func (p *pendingMetric) hold(ls labels.Labels, c *model.Rollup) {
	if p.n == len(p.series) {
		p.series = append(p.series, heldSeries{})
	}
	s := &p.series[p.n]
	p.n++
	s.labels = ls
	s.c.Reset()
	s.c.T = append(s.c.T, c.T...)
	p.samples += len(c.T)
	p.bytes += 8 * len(c.T)
	for i := range c.V {
		s.c.V[i] = append(s.c.V[i], c.V[i]...)
		p.bytes += 8 * len(c.V[i])
	}
	if c.H == nil {
		return
	}
	s.c.H = make([][]byte, len(c.H))
	for i, h := range c.H {
		s.c.H[i] = bytes.Clone(h)
		p.bytes += 24 + len(h)
	}
}
