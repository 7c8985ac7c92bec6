package api

import (
	"context"
	"errors"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/index"
)

// nothing is a Prometheus server that scrapes nothing, knows no rules and keeps no TSDB: what
// v1.NewAPI asks of parts that Varve has not got.
type nothing struct{}

var errNotHere = errors.New("not available here")

func (nothing) ScrapePools() []string { return []string{} }

func (nothing) TargetsActive() map[string][]*scrape.Target  { return map[string][]*scrape.Target{} }
func (nothing) TargetsDropped() map[string][]*scrape.Target { return map[string][]*scrape.Target{} }
func (nothing) TargetsDroppedCounts() map[string]int        { return map[string]int{} }

func (nothing) ScrapePoolConfig(string) (*config.ScrapeConfig, error) {
	return nil, errors.New("no such scrape pool: this server does not scrape")
}

func (nothing) Alertmanagers() []*url.URL        { return []*url.URL{} }
func (nothing) DroppedAlertmanagers() []*url.URL { return []*url.URL{} }

func (nothing) RuleGroups() []*rules.Group           { return []*rules.Group{} }
func (nothing) AlertingRules() []*rules.AlertingRule { return []*rules.AlertingRule{} }

func (nothing) CleanTombstones() error { return errNotHere }

func (nothing) Delete(context.Context, int64, int64, ...*labels.Matcher) error { return errNotHere }

func (nothing) Snapshot(string, bool) error { return errNotHere }

func (nothing) Stats(string, int) (*tsdb.Stats, error) {
	return &tsdb.Stats{IndexPostingStats: &index.PostingsStats{}}, nil
}

// withHead returns the gatherer with the one metric that status/tsdb looks for, which else makes a number of chunks of NaN.
func (nothing) withHead(g prometheus.Gatherer) prometheus.Gatherer {
	r := prometheus.NewRegistry()
	promauto.With(r).NewGauge(prometheus.GaugeOpts{Name: "prometheus_tsdb_head_chunks", Help: "Always 0: there is no such head."})
	return prometheus.Gatherers{g, r}
}

func (nothing) WALReplayStatus() (tsdb.WALReplayStatus, error) { return tsdb.WALReplayStatus{}, nil }

func (nothing) BlockMetas() ([]tsdb.BlockMeta, error) { return []tsdb.BlockMeta{}, nil }

func (n nothing) ExemplarQuerier(context.Context) (storage.ExemplarQuerier, error) { return n, nil }

func (nothing) Select(int64, int64, ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	return []exemplar.QueryResult{}, nil
}
