package blocks

import "github.com/varvedb/varve/index"

// NextMetric is the metric name of the series that Series yields next, in a form that is good for comparing; valid until then. It may be asked
// by the function that Series asks for more.
func (m *Merger) NextMetric() []byte {
	if !m.ready {
		return nil
	}
	return index.MetricOfKey(m.key)
}
