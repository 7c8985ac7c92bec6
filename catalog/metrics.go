package catalog

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

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
		m.conflicts = register(r, m.conflicts)
		m.readBacks = register(r, m.readBacks)
	}
	return m
}

// register enters the counter, or returns the one of the same name that another Store of this process has entered.
func register(r prometheus.Registerer, c prometheus.Counter) prometheus.Counter {
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &already) {
		if old, ok := already.ExistingCollector.(prometheus.Counter); ok {
			return old
		}
	}
	return c
}
