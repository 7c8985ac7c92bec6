package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// A target is one scraped pod. Of its series
//
//	10 %  never change: up, the build, the start time, limits;
//	22 %  are gauges, a third each: percentages with two decimals and counts of connections, which stay as they were
//	      at one scrape of four, and memory in pages of 4 KiB, which stays at one of three;
//	28 %  are classic histograms of 12 buckets with sum and count: latencies, log-normal, with nanoseconds;
//	40 %  are counters: 8 of them hundredths of CPU seconds by mode of a core (the modes share the whole of its time),
//	      8 packets and bytes of network devices, 24 requests by handler, method and code.
//
// What happens comes as Poisson arrivals, in bursts. A mean is drawn for each series, evenly by its logarithm: 1 to
// 1000 a scrape for observations of a histogram and for requests that succeed, a hundredth of that for
// errors, 100 to 100,000 for packets. It follows the load of the target, a slow walk around 1, and a factor of each
// scrape that varies by a third. Counters begin at what up to a day would have brought, and at zero after a
// restart, which comes at any scrape and with another pod name.
//
// A target is scraped at a moment of its own within the interval, always at the same distance, as Prometheus does
// when it aligns the timestamps of its scrapes.
type target struct {
	rng      *rand.Rand
	n        int
	offset   int64
	restarts int
	log      float64 // of the load
	load     float64
	day      float64 // scrapes of a day
	series   []series
}

// A series makes its next value at each scrape, in the order of series.
type series struct {
	labels []byte
	next   func() float64
}

var (
	regions  = [...]string{"eu-north-1", "eu-west-2", "us-east-1"}
	modes    = [...]string{"idle", "user", "system", "iowait", "irq", "nice", "softirq", "steal"}
	shares   = [...]float64{0, 0.25, 0.08, 0.01, 0, 0.0005, 0.003, 0.001} // of a core's time; what is left is idle
	methods  = [...]string{"GET", "POST"}
	codes    = [...]string{"200", "404", "500"}
	handlers = [...]string{"/", "/cart", "/health", "/item", "/login", "/order", "/search", "/user"}
	bounds   = [...]string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"}
)

// Metrics that queries name.
const (
	metricPercent  = "app_usage_percent"
	metricRequests = "app_requests_total"
	metricLatency  = "app_request_seconds"
)

func newTarget(o *workloadOptions, n int) *target {
	t := &target{rng: rand.New(rand.NewPCG(uint64(o.seed), uint64(n))), n: n, load: 1, day: float64(24 * time.Hour / o.interval)}
	t.offset = t.rng.Int64N(o.interval.Milliseconds())
	t.build(o)
	return t
}

// build makes all series anew, as after a restart.
func (t *target) build(o *workloadOptions) {
	t.series = t.series[:0]
	histograms := int(math.Round(float64(o.metrics) * 0.28 / float64(len(bounds)+2)))
	t.addConstants(o.metrics / 10)
	t.addGauges(o.metrics * 22 / 100)
	for i := range histograms {
		t.addHistogram(name(handlers[:], i))
	}
	counters := o.metrics - len(t.series)
	for i := range counters / 5 / len(modes) {
		t.addCore(strconv.Itoa(i), o.interval)
	}
	for i := range counters / 5 / 4 {
		t.addDevice("eth" + strconv.Itoa(i))
	}
	for i := 0; len(t.series) < o.metrics; i++ {
		t.addRequests(i)
	}
}

// name is the i-th of names, with a number when they are used up.
func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return names[i%len(names)] + "-" + strconv.Itoa(i/len(names))
}

// add appends a series: its metric, its own labels as name, value …, and those of the target.
func (t *target) add(next func() float64, metric string, own ...string) {
	labels := [][2]string{
		{"__name__", metric},
		{"cluster", "c" + strconv.Itoa(t.n%4)},
		{"instance", fmt.Sprintf("10.%d.%d.%d:9100", t.n>>16, t.n>>8&255, t.n&255)},
		{"job", "app-" + strconv.Itoa(t.n%20)},
		{"namespace", "team-" + strconv.Itoa(t.n%7)},
		{"pod", fmt.Sprintf("app-%d-%08x", t.n%20, t.pod())},
		{"region", regions[t.n%len(regions)]},
	}
	for i := 0; i+1 < len(own); i += 2 {
		labels = append(labels, [2]string{own[i], own[i+1]})
	}
	slices.SortFunc(labels, func(a, b [2]string) int {
		if a[0] < b[0] {
			return -1
		}
		return 1
	})
	pairs := make([]string, 0, 2*len(labels))
	for _, l := range labels {
		pairs = append(pairs, l[0], l[1])
	}
	t.series = append(t.series, series{encodeLabels(pairs...), next})
}

// pod is a number that tells the pods of a target apart.
func (t *target) pod() uint32 { return uint32(t.n)*2654435761 + uint32(t.restarts)*40503 }

func (t *target) addConstants(n int) {
	constant := func(v float64) func() float64 { return func() float64 { return v } }
	for i := range n {
		switch i {
		case 0:
			t.add(constant(1), "up")
		case 1:
			t.add(constant(1), "app_build_info", "revision", "9d1f0c2", "version", "3.1.4")
		case 2:
			t.add(constant(1_700_000_000+float64(t.rng.IntN(10_000_000))/100), "app_start_time_seconds")
		default:
			t.add(constant(float64(int64(1)<<(4+t.rng.IntN(28)))), "app_limit", "kind", "limit-"+strconv.Itoa(i))
		}
	}
}

func (t *target) addGauges(n int) {
	for i := range n {
		id := strconv.Itoa(i / 3)
		switch v := 0.0; i % 3 {
		case 0:
			v = float64(t.rng.IntN(10000)) // hundredths
			t.add(func() float64 {
				if t.rng.IntN(4) > 0 {
					v = min(10000, max(0, v+math.Round(t.rng.NormFloat64()*50)))
				}
				return v / 100
			}, metricPercent, "resource", "r"+id)
		case 1:
			v = float64(t.rng.IntN(200))
			t.add(func() float64 {
				if t.rng.IntN(4) > 0 {
					v = max(0, v+float64(t.rng.IntN(11)-5))
				}
				return v
			}, "app_connections", "pool", "p"+id)
		default:
			v = float64(10_000 + t.rng.IntN(100_000)) // pages
			t.add(func() float64 {
				if t.rng.IntN(3) > 0 {
					v = max(0, v+math.Round(t.rng.NormFloat64()*500))
				}
				return v * 4096
			}, "app_memory_bytes", "area", "a"+id)
		}
	}
}

// addHistogram adds the buckets, the sum and the count of one histogram. The first bucket, which comes first at a
// scrape, draws the new observations of all.
func (t *target) addHistogram(handler string) {
	var counts [len(bounds)]float64
	var limits [len(bounds)]float64
	var sum float64
	for b, le := range bounds {
		limits[b], _ = strconv.ParseFloat(le, 64)
	}
	mean := math.Pow(10, 3*t.rng.Float64())
	median := 0.004 * math.Pow(10, 1.5*t.rng.Float64())
	for b, le := range bounds {
		t.add(func() float64 {
			if b == 0 {
				for range int(t.arrivals(mean)) {
					seconds := math.Round(median*math.Exp(0.8*t.rng.NormFloat64())*1e9) / 1e9
					for c := len(bounds) - 1; c >= 0 && seconds <= limits[c]; c-- {
						counts[c]++
					}
					sum += seconds
				}
			}
			return counts[b]
		}, metricLatency+"_bucket", "handler", handler, "le", le)
	}
	t.add(func() float64 { return sum }, metricLatency+"_sum", "handler", handler)
	t.add(func() float64 { return counts[len(counts)-1] }, metricLatency+"_count", "handler", handler)
}

// addCore adds what one core did, by mode. The first mode, idle, draws the others and takes what they leave.
func (t *target) addCore(cpu string, interval time.Duration) {
	whole := interval.Seconds() * 100
	var spent [len(modes)]float64
	since := t.past()
	for i, share := range shares {
		spent[i] = math.Floor(since * whole * share)
	}
	for i, mode := range modes {
		t.add(func() float64 {
			if i == 0 {
				left := whole
				for j, share := range shares {
					n := min(left, t.arrivals(whole*share))
					spent[j] += n
					left -= n
				}
				spent[0] += left
			}
			return spent[i] / 100
		}, "node_cpu_seconds_total", "cpu", cpu, "mode", mode)
	}
}

// addDevice adds packets and bytes of a network device, both ways.
func (t *target) addDevice(device string) {
	for _, way := range [...]string{"receive", "transmit"} {
		mean := math.Pow(10, 2+3*t.rng.Float64())
		size := 100 + 1000*t.rng.Float64() // of a packet
		packets := math.Floor(t.past() * mean)
		bytes := math.Floor(packets * size)
		t.add(func() float64 {
			n := t.arrivals(mean)
			packets += n
			bytes += math.Floor(n*size + math.Sqrt(n)*size/2*t.rng.NormFloat64()*min(1, n/4))
			return packets
		}, "node_network_"+way+"_packets_total", "device", device)
		t.add(func() float64 { return bytes }, "node_network_"+way+"_bytes_total", "device", device)
	}
}

// addRequests adds a counter of requests.
func (t *target) addRequests(i int) {
	code := codes[i%len(codes)]
	mean := math.Pow(10, 3*t.rng.Float64())
	if code != codes[0] {
		mean /= 100
	}
	v := math.Floor(t.past() * mean)
	t.add(func() float64 {
		v += t.arrivals(mean)
		return v
	}, metricRequests, "code", code, "handler", name(handlers[:], i/len(codes)/len(methods)), "method", methods[i/len(codes)%len(methods)])
}

// past is the number of scrapes that a counter has behind it.
func (t *target) past() float64 {
	if t.restarts > 0 {
		return 0
	}
	return t.rng.Float64() * t.day
}

// burst is how much, as the deviation of its logarithm, a mean varies from scrape to scrape.
const burst = 0.3

// arrivals draws the number of arrivals in an interval from their mean and the load.
func (t *target) arrivals(mean float64) float64 {
	mean *= t.load * math.Exp(burst*t.rng.NormFloat64())
	if mean > 30 {
		return max(0, math.Round(mean+math.Sqrt(mean)*t.rng.NormFloat64()))
	}
	n, p := 0.0, math.Exp(-mean)
	for u := t.rng.Float64(); u > p; u *= t.rng.Float64() {
		n++
	}
	return n
}

// scrape moves the load of the target, and restarts it with the given chance.
func (t *target) scrape(o *workloadOptions, restart float64) (old []series) {
	t.log = 0.98*t.log + 0.05*t.rng.NormFloat64()
	t.load = math.Exp(t.log)
	if t.rng.Float64() >= restart {
		return nil
	}
	old = slices.Clone(t.series)
	t.restarts++
	t.build(o)
	return old
}
