package differential

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics implements prometheus.Registerer for an engine. It takes what counts column-wise evaluation, and tells what one query
// added to that.
type metrics struct {
	registry *prometheus.Registry
	last     map[string]float64
}

func newMetrics() *metrics { return &metrics{prometheus.NewRegistry(), map[string]float64{}} }

// Register implements prometheus.Registerer.
func (m *metrics) Register(c prometheus.Collector) error {
	descriptions := make(chan *prometheus.Desc, 100)
	c.Describe(descriptions)
	close(descriptions)
	for d := range descriptions {
		if strings.Contains(d.String(), `"varve_query_columnar_`) {
			return m.registry.Register(c)
		}
	}
	return nil
}

// MustRegister implements prometheus.Registerer.
func (m *metrics) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := m.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister implements prometheus.Registerer.
func (*metrics) Unregister(prometheus.Collector) bool { return false }

// step returns the shapes that were evaluated column-wise since the last call, and whether an attempt at that was given up.
func (m *metrics) step() (shapes []string, gaveUp bool) {
	families, err := m.registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		for _, one := range f.GetMetric() {
			name := f.GetName()
			for _, l := range one.GetLabel() {
				name = l.GetValue()
			}
			now := one.GetCounter().GetValue()
			if now == m.last[name] {
				continue
			}
			m.last[name] = now
			if name == "varve_query_columnar_fallbacks_total" {
				gaveUp = true
			} else {
				shapes = append(shapes, name)
			}
		}
	}
	return shapes, gaveUp
}
