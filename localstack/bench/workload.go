package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// workloadOptions shape the generated load.
type workloadOptions struct {
	seed                             int64
	targets, metrics, scrapes, batch int
	interval                         time.Duration
	churn                            float64
}

// churnEvery is the number of scrapes between two rounds of restarts.
const churnEvery = 60

// staleBits is the NaN by which Prometheus marks the end of a series.
const staleBits = 0x7ff0000000000002

// A target is one scraped pod. Of its series
//
//	10 %  never change (information, limits, start times),
//	22 %  are gauges: walks in steps of a hundredth, of one, of a page of memory,
//	28 %  are classic histograms of 12 buckets with sum and count,
//	40 %  are counters: of events, of hundredths of seconds, of bytes; some of them rest.
//
// It is scraped at a moment of its own within the interval, always at the same distance.
type target struct {
	rng      *rand.Rand
	n        int
	offset   int64
	restarts int
	series   []series
}

// A series makes its next value from its state.
type series struct {
	labels []byte
	value  float64
	next   func(t *target, s *series) float64
}

var regions = [...]string{"eu-north-1", "eu-west-2", "us-east-1"}

func newTarget(o workloadOptions, n int) *target {
	t := &target{rng: rand.New(rand.NewPCG(uint64(o.seed), uint64(n))), n: n}
	t.offset = t.rng.Int64N(o.interval.Milliseconds())
	t.build(o.metrics)
	return t
}

// build makes all series anew, as after a restart: other pod, counters at zero.
func (t *target) build(metrics int) {
	t.series = t.series[:0]
	constants, gauges, buckets := metrics/10, metrics*22/100, metrics*28/100
	for i := range constants {
		t.add("app_setting_"+strconv.Itoa(i), float64(t.rng.IntN(1000)), constant)
	}
	for i := range gauges {
		t.add(gaugeName(i), float64(t.rng.IntN(10000))/100, gaugeKinds[i%len(gaugeKinds)])
	}
	for i := range buckets / 14 {
		t.addHistogram(i)
	}
	for i := 0; len(t.series) < metrics; i++ {
		t.add("app_"+counterNames[i%len(counterNames)]+"_"+strconv.Itoa(i/len(counterNames))+"_total", 0, counterKinds[i%len(counterKinds)],
			"code", strconv.Itoa(200+i%3*100))
	}
}

func (t *target) add(name string, value float64, next func(*target, *series) float64, extra ...string) *series {
	pairs := []string{
		"__name__", name, "cluster", "c" + strconv.Itoa(t.n%4),
	}
	// Labels go over the wire in order of names; the extra ones here begin with c to l.
	pairs = append(pairs, extra...)
	if len(extra) > 0 && extra[0] == "le" {
		pairs = append(pairs[:4:4], "instance", t.instance(), "job", "app", "le", extra[1])
	} else {
		pairs = append(pairs, "instance", t.instance(), "job", "app")
	}
	pairs = append(pairs, "namespace", "team-"+strconv.Itoa(t.n%20), "pod", fmt.Sprintf("app-%d-%x", t.n, t.pod()), "region", regions[t.n%len(regions)])
	t.series = append(t.series, series{labels: encodeLabels(pairs...), value: value, next: next})
	return &t.series[len(t.series)-1]
}

func (t *target) instance() string {
	return fmt.Sprintf("10.%d.%d.%d:9100", t.n>>16, t.n>>8&255, t.n&255)
}

// pod is a number that tells the pods of a target apart.
func (t *target) pod() uint32 { return uint32(t.n)*2654435761 + uint32(t.restarts)*40503 }

func constant(_ *target, s *series) float64 { return s.value }

var gaugeKinds = [...]func(*target, *series) float64{
	func(t *target, s *series) float64 { // percent, two decimals
		s.value = math.Round(min(100, max(0, s.value+t.rng.NormFloat64()))*100) / 100
		return s.value
	},
	func(t *target, s *series) float64 { // connections, queue lengths
		s.value = math.Floor(max(0, s.value+float64(t.rng.IntN(5)-2)))
		return s.value
	},
	func(t *target, s *series) float64 { // memory
		s.value = max(0, math.Floor(s.value)+float64(t.rng.IntN(41)-20))
		return (10000 + s.value) * 4096
	},
}

func gaugeName(i int) string {
	return "app_" + [...]string{"usage_percent", "connections", "memory_bytes"}[i%3] + "_" + strconv.Itoa(i/3)
}

var counterNames = [...]string{"requests", "cpu_seconds", "sent_bytes", "errors", "rows"}

var counterKinds = [...]func(*target, *series) float64{
	func(t *target, s *series) float64 { s.value += float64(t.rng.IntN(200)); return s.value },
	func(t *target, s *series) float64 { s.value += float64(t.rng.IntN(1500)); return s.value / 100 },
	func(t *target, s *series) float64 { s.value += float64(t.rng.IntN(1 << 20)); return s.value },
	func(t *target, s *series) float64 { // rests most of the time
		if t.rng.IntN(20) == 0 {
			s.value++
		}
		return s.value
	},
}

var bounds = [...]string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"}

// addHistogram adds the buckets, the sum and the count of one histogram. The first bucket, which comes first at a
// scrape, draws the new observations of all.
func (t *target) addHistogram(i int) {
	var counts [len(bounds)]float64
	var sum float64
	name := "app_request_seconds_" + strconv.Itoa(i)
	for b, le := range bounds {
		t.add(name+"_bucket", 0, func(t *target, _ *series) float64 {
			if b == 0 {
				n := t.rng.IntN(30)
				for range n {
					at := min(len(bounds)-1, int(math.Abs(t.rng.NormFloat64()*2+4)))
					for c := at; c < len(counts); c++ {
						counts[c]++
					}
					sum += math.Round(math.Pow(2, float64(at)-8)*1e6) / 1e6
				}
			}
			return counts[b]
		}, "le", le)
	}
	t.add(name+"_sum", 0, func(*target, *series) float64 { return sum })
	t.add(name+"_count", 0, func(*target, *series) float64 { return counts[len(counts)-1] })
}

// generatedLoad makes the workload. Each series has one sender, so its samples are sent in order of time.
func generatedLoad(o workloadOptions, senders int, now time.Time) *load {
	l := &load{
		name:   fmt.Sprintf("generated, %d targets × %d series × %d scrapes, seed %d", o.targets, o.metrics, o.scrapes, o.seed),
		metric: gaugeName(0),
	}
	begin := now.Add(-time.Duration(o.scrapes) * o.interval).UnixMilli()
	l.from, l.to = begin, now.UnixMilli()
	made := make([]*encoder, senders)
	restarts := make([]int64, senders)
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() { made[i], restarts[i] = generateSender(o, i, senders, begin) })
	}
	wg.Wait()
	l.series = int64(o.targets * o.metrics)
	for i, e := range made {
		l.add(e.requests)
		l.series += restarts[i] * int64(o.metrics)
	}
	return l
}

func generateSender(o workloadOptions, sender, senders int, begin int64) (e *encoder, restarts int64) {
	e = &encoder{batch: o.batch}
	var targets []*target
	for n := sender; n < o.targets; n += senders {
		targets = append(targets, newTarget(o, n))
	}
	for scrape := range o.scrapes {
		for _, t := range targets {
			at := begin + int64(scrape)*o.interval.Milliseconds() + t.offset
			if scrape > 0 && scrape%churnEvery == 0 && t.rng.Float64() < o.churn {
				for i := range t.series {
					e.series(t.series[i].labels, sample{at, math.Float64frombits(staleBits)})
				}
				t.restarts++
				restarts++
				t.build(o.metrics)
			}
			for i := range t.series {
				s := &t.series[i]
				e.series(s.labels, sample{at, s.next(t, s)})
			}
		}
	}
	e.cut()
	return e, restarts
}
