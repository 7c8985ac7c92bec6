package blocks

import "github.com/varvedb/varve/index"

// NextMetric is the metric name of the series that Series yields next, in a form that is good for comparing; valid until then. It may be asked
// by the function that Series asks for more.
func (m *Merger) NextMetric() []byte {
	if len(m.heap) == 0 {
		return nil
	}
	return index.MetricOfKey(m.heap[0].cursor().Key())
}
