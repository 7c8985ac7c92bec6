package varve_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

const scrapeMs = 15_000

// BenchmarkEvaluation runs heavy queries over counters, gauges and a classic histogram of 200 targets, 65 minutes at 15 s, and over 7 days of
// 50 targets at 60 s; from the memtable and from blocks, column-wise and on Prometheus' engine alone. EVAL_TARGETS changes the number of targets.
func BenchmarkEvaluation(b *testing.B) {
	targets := 200
	if s := os.Getenv("EVAL_TARGETS"); s != "" {
		targets, _ = strconv.Atoi(s)
	}
	start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for _, load := range []struct {
		name       string
		targets    int
		span, step time.Duration
		scrape     int64
		queries    []string
	}{
		{"1h", targets, time.Hour, 15 * time.Second, scrapeMs, []string{
			"sum by (job) (rate(requests_total[5m]))",
			"histogram_quantile(0.9, sum by (le, job) (rate(latency_bucket[5m])))",
			"topk(5, rate(requests_total[5m]))",
			"sum by (job) (max_over_time(temperature[5m]))",
			"sum by (job) (avg_over_time(temperature[5m]))",
			"sum by (job) (temperature)",
			"rate(requests_total[5m])",
		}},
		{"7d", targets / 20, 7 * 24 * time.Hour, 10 * time.Minute, 4 * scrapeMs, []string{
			"sum by (job) (rate(requests_total[5m]))",
			"sum by (job) (max_over_time(temperature[1h]))",
			"sum by (job) (avg_over_time(temperature[1h]))",
		}},
	} {
		db := openFor(b)
		fill(b, db, load.targets, start, load.span+5*time.Minute, load.scrape)
		for _, source := range []string{"memtable", "blocks"} {
			if source == "blocks" {
				require.NoError(b, db.Flush(b.Context()))
			}
			for _, engine := range []string{"columnar", "reference"} {
				e := query.NewEngine(&query.EngineOptions{NoColumnar: engine == "reference"}, query.NewParser(), nil, nil)
				for _, expr := range load.queries {
					b.Run(fmt.Sprintf("%s/%s/%s/%s", load.name, source, engine, expr), func(b *testing.B) {
						ctx := tenant.NewContext(b.Context(), "default")
						b.ReportAllocs()
						before := cpuTime(b)
						defer func() { b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op") }()
						for b.Loop() {
							q, err := e.NewRangeQuery(ctx, db.Queryable(), nil, expr, start.Add(5*time.Minute), start.Add(5*time.Minute+load.span), load.step)
							require.NoError(b, err)
							r := q.Exec(ctx)
							require.NoError(b, r.Err)
							m, err := r.Matrix()
							require.NoError(b, err)
							require.NotEmpty(b, m)
							q.Close()
						}
					})
				}
				require.NoError(b, e.Close())
			}
		}
	}
}

// cpuTime is what the process used so far, on all cores.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func openFor(b *testing.B) *varve.DB {
	ctx := b.Context()
	db, err := varve.Open(ctx, &varve.Options{Bucket: "mem://", Openers: map[string]blob.Opener{"mem": mem.Open}, DataDir: b.TempDir()})
	require.NoError(b, err)
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- db.Run(running) }()
	b.Cleanup(func() {
		stop()
		require.NoError(b, <-done)
		require.NoError(b, db.Close(context.WithoutCancel(ctx)))
	})
	return db
}

// fill appends 12 counters, 4 gauges and a histogram of 12 buckets of each target, all of a target at the same times.
func fill(b *testing.B, db *varve.DB, targets int, start time.Time, span time.Duration, scrape int64) {
	r := rand.New(rand.NewPCG(1, 2))
	for target := range targets {
		base := labels.FromStrings("cluster", "c1", "instance", fmt.Sprintf("10.0.%d.%d:9100", target/256, target%256), "job", fmt.Sprintf("job-%d", target%10),
			"namespace", fmt.Sprintf("ns-%d", target%7), "pod", fmt.Sprintf("pod-%d-abcdef", target), "region", "eu-1")
		var times []int64
		for t := start.UnixMilli() + r.Int64N(scrape); t < start.Add(span).UnixMilli(); t += scrape {
			times = append(times, t)
		}
		var all []varve.Series
		add := func(name, label, v string, next func() float64) {
			s := varve.Series{Labels: labels.NewBuilder(base).Set("__name__", name).Set(label, v).Labels()}
			for _, t := range times {
				s.Samples = append(s.Samples, model.Sample{T: t, V: next()})
			}
			all = append(all, s)
		}
		for i := range 12 {
			level := 0.
			add("requests_total", "handler", fmt.Sprintf("/api/v1/%d", i), func() float64 { level += float64(r.IntN(50)); return level })
			count := 0.
			add("latency_bucket", "le", strconv.FormatFloat(float64(int(1)<<i)/100, 'f', -1, 64), func() float64 { count += float64(r.IntN(i + 2)); return count })
		}
		for i := range 12 {
			level := 2000
			add("temperature", "sensor", strconv.Itoa(i), func() float64 { level += r.IntN(101) - 50; return float64(level) / 100 })
		}
		_, err := db.AppendSeries(b.Context(), "default", all...)
		require.NoError(b, err)
	}
}
