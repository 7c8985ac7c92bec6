package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"time"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// selfScrape writes the server's own metrics into the default tenant, as a Prometheus beside it would: labels job and
// instance, the series up and scrape_…, and staleness markers for series that went away.
type selfScrape struct {
	db       *varve.DB
	handler  http.Handler
	instance string
	log      *slog.Logger
	// seen are the series of the scrape before.
	seen map[string]labels.Labels
}

func newSelfScrape(db *varve.DB, h http.Handler, instance string, log *slog.Logger) *selfScrape {
	return &selfScrape{db: db, handler: h, instance: instance, log: log, seen: map[string]labels.Labels{}}
}

// run scrapes at once and then at every interval until ctx ends.
func (s *selfScrape) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(max(every, time.Second))
	defer tick.Stop()
	for {
		if err := s.scrape(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("self-scrape failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *selfScrape) scrape(ctx context.Context, now time.Time) error {
	t := now.UnixMilli()
	text, contentType, fetchErr := s.fetch(ctx)
	series, parseErr := s.parse(text, contentType, t)
	err := errors.Join(fetchErr, parseErr)
	up := 1.0
	if err != nil {
		series, up = nil, 0
	}
	scraped := len(series)
	seen := make(map[string]labels.Labels, len(series))
	for _, one := range series {
		seen[one.Labels.String()] = one.Labels
	}
	for key, ls := range s.seen {
		if _, still := seen[key]; !still {
			series = append(series, varve.Series{Labels: ls, Samples: []model.Sample{{T: t, V: math.Float64frombits(value.StaleNaN)}}})
		}
	}
	for name, v := range map[string]float64{
		"up": up, "scrape_samples_scraped": float64(scraped), "scrape_duration_seconds": time.Since(now).Seconds(),
	} {
		series = append(series, s.series(labels.FromStrings(prommodel.MetricNameLabel, name), t, v))
	}
	if _, appendErr := s.db.AppendSeries(ctx, tenant.Default, series...); appendErr != nil {
		return errors.Join(err, appendErr)
	}
	s.seen = seen
	return err
}

func (s *selfScrape) series(ls labels.Labels, t int64, v float64) varve.Series {
	b := labels.NewBuilder(ls)
	b.Set("job", "varve").Set("instance", s.instance)
	return varve.Series{Labels: b.Labels(), Samples: []model.Sample{{T: t, V: v}}}
}

// fetch asks the handler for /metrics, without a connection.
func (s *selfScrape) fetch(ctx context.Context) (text []byte, contentType string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("Accept", "text/plain; version=0.0.4")
	w := &memoryAnswer{header: http.Header{}, status: http.StatusOK}
	s.handler.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		return nil, "", fmt.Errorf("scrape /metrics: status %d", w.status)
	}
	return w.body, w.header.Get("Content-Type"), nil
}

func (s *selfScrape) parse(text []byte, contentType string, t int64) (out []varve.Series, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	p, err := textparse.New(text, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return nil, fmt.Errorf("parse /metrics: %w", err)
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parse /metrics: %w", err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var ls labels.Labels
		p.Labels(&ls)
		_, at, v := p.Series()
		one := s.series(ls, t, v)
		if at != nil {
			one.Samples[0].T = *at
		}
		out = append(out, one)
	}
}

// memoryAnswer is an http.ResponseWriter that keeps the answer.
type memoryAnswer struct {
	header http.Header
	status int
	body   []byte
}

func (w *memoryAnswer) Header() http.Header    { return w.header }
func (w *memoryAnswer) WriteHeader(status int) { w.status = status }
func (w *memoryAnswer) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}
