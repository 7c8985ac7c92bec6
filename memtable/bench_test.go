package memtable

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// workload is remote write as an agent sends it: counters, gauges of two decimals, histogram buckets and constants,
// one sample a series, 5,000 series a request.
type workload struct {
	requests []*model.Batch
	values   []float64
	rng      *rand.Rand
	at       int64
}

func newWorkload(series int) *workload {
	w := &workload{rng: rand.New(rand.NewPCG(1, 2)), values: make([]float64, series), at: 1_700_000_000_000}
	var cur *model.Batch
	for i := range series {
		if i%5000 == 0 {
			cur = &model.Batch{Labels: textKeys{}}
			w.requests = append(w.requests, cur)
		}
		key := fmt.Sprintf("__name__=metric_name_%03d,cluster=production,instance=host-%04d.example.net:9100,job=node,le=%d", i%500, i/500, i%4)
		cur.Series = append(cur.Series, model.BatchSeries{Key: []byte(key), First: int32(len(cur.Samples)), Count: 1})
		cur.Samples = append(cur.Samples, model.Sample{})
	}
	return w
}

// next fills the requests with the next scrape.
func (w *workload) next() {
	w.at += 15_000
	i := 0
	for _, b := range w.requests {
		for k := range b.Samples {
			switch i % 4 {
			case 0:
				w.values[i] += float64(w.rng.IntN(1000))
			case 1:
				w.values[i] = float64(w.rng.IntN(10_000)) / 100
			case 2:
				w.values[i] += float64(w.rng.IntN(3))
			}
			b.Samples[k] = model.Sample{T: w.at, V: w.values[i]}
			i++
		}
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkResolve(b *testing.B) {
	for _, series := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d", series), func(b *testing.B) {
			w := newWorkload(series)
			w.next()
			tab := New(nil, nil)
			var res Resolved
			for _, r := range w.requests {
				if err := tab.Resolve("t", r, &res); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			n := 0
			for i := range b.N {
				r := w.requests[i%len(w.requests)]
				if err := tab.Resolve("t", r, &res); err != nil {
					b.Fatal(err)
				}
				n += len(r.Series)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mseries/s")
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	const series, scrapes = 100_000, 480
	w := newWorkload(series)
	for range b.N {
		b.StopTimer()
		before := heapBytes()
		tab := New(nil, nil)
		resolved := make([]Resolved, len(w.requests))
		for i, r := range w.requests {
			if err := tab.Resolve("t", r, &resolved[i]); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heapBytes()-before)/series, "B/series-empty")
		for range scrapes {
			w.next()
			b.StartTimer()
			for i, r := range w.requests {
				tab.Append(r, &resolved[i])
			}
			b.StopTimer()
		}
		resolved = nil
		heap := float64(heapBytes() - before)
		b.ReportMetric(heap/series/scrapes, "B/sample-all")
		b.ReportMetric(float64(tab.arena.bytes.Load())/series/scrapes, "B/sample-blocks")
		b.ReportMetric(heap/1e6, "MB")
		b.ReportMetric(float64(tab.Bytes())/1e6, "MB-estimated")
		runtime.KeepAlive(tab)
	}
	b.ReportMetric(float64(b.N)*series*scrapes/b.Elapsed().Seconds()/1e6, "Msamples/s")
}

func BenchmarkSelect(b *testing.B) {
	const series = 100_000
	w := newWorkload(series)
	tab := New(nil, nil)
	var res Resolved
	for range 240 {
		w.next()
		for _, r := range w.requests {
			if err := tab.Resolve("t", r, &res); err != nil {
				b.Fatal(err)
			}
			tab.Append(r, &res)
		}
	}
	metric := labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_name_007")
	instance := labels.MustNewMatcher(labels.MatchEqual, "instance", "host-0003.example.net:9100")
	all := labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "")
	r := model.TimeRange{MinMs: math.MinInt64, MaxMs: math.MaxInt64}
	for name, ms := range map[string][]*labels.Matcher{"one": {metric, instance}, "metric": {metric}, "all": {all}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var c model.Columns
			n := 0
			for range b.N {
				sel, err := tab.Select(context.Background(), "t", r, ms)
				if err != nil {
					b.Fatal(err)
				}
				for _, s := range sel.Series {
					c.Reset()
					if err := s.Samples(&c, r); err != nil {
						b.Fatal(err)
					}
					n += c.Len()
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Msamples/s")
		})
	}
}
