package catalog

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	conflicts, readBacks prometheus.Counter
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_catalog_conflicts_total",
			Help: "Writes of catalogs, roots and the roster that were refused because another write came first.",
		}),
		readBacks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_catalog_read_backs_total",
			Help: "Writes of catalogs, roots and the roster that ended in doubt and were read back.",
		}),
	}
	if r != nil {
		r.MustRegister(m.conflicts, m.readBacks)
	}
	return m
}
