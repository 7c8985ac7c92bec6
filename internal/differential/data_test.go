package differential

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// The data begin before a midnight and end after it, so that they lie in two partitions.
var (
	dataFrom = time.Date(2026, 3, 9, 23, 38, 0, 0, time.UTC).UnixMilli()
	dataTo   = dataFrom + 45*minute
)

const (
	second = int64(1000)
	minute = 60 * second
	scrape = 15 * second

	metricName = "__name__"
)

// sample is a float, or a native histogram of either kind.
type sample struct {
	t  int64
	v  float64
	h  *histogram.Histogram
	fh *histogram.FloatHistogram
}

type series struct {
	labels  labels.Labels
	samples []sample // ascending
	native  bool
}

// target is one scraped process: its series share their timestamps.
type target struct {
	job, instance, zone string
	times               []int64
}

// dataset is what both sides hold.
type dataset struct {
	rng    *rand.Rand
	series []series
	// metrics are the series of each metric, in the order in which they came.
	metrics map[string][]int
	names   []string
}

// newDataset draws data of about 125 series, and 80 more for each further copy of the targets.
func newDataset(seed uint64, copies int) *dataset {
	d := &dataset{rng: rand.New(rand.NewPCG(seed, 0)), metrics: map[string][]int{}}
	for number := range copies {
		targets := []target{
			{job: "api", instance: "a-1:80", zone: "x"},
			{job: "api", instance: "a-2:80", zone: "y"},
			{job: "api", instance: "a-10:80"},
			{job: "db", instance: "d-1:81", zone: "x"},
			{job: "db", instance: "d-2:81"},
			{job: "api", instance: "a-3:80"},
			{job: "api", instance: "a-4:80", zone: "y"},
		}
		for i := range targets {
			t := &targets[i]
			t.times = d.times(i)
			if number > 0 {
				t.instance += strconv.Itoa(number)
			}
			d.addTarget(i, t)
		}
	}
	d.addOdd()
	slices.Sort(d.names)
	return d
}

// times are the scrapes of a target: by the clock, with jitter, once a minute, at random, or from the 5th on by the clock and always so much later.
func (d *dataset) times(kind int) []int64 {
	var out []int64
	from := dataFrom
	if kind > 4 {
		from += d.rng.Int64N(scrape)
	}
	for t := from; t <= dataTo; {
		at := t
		switch kind {
		case 1:
			at += d.rng.Int64N(5)
		case 2:
			at += d.rng.Int64N(4 * second)
		}
		out = append(out, at)
		switch kind {
		case 3:
			t += minute
		case 4:
			t += 1 + d.rng.Int64N(40*second)
		default:
			t += scrape
		}
	}
	return out
}

func (d *dataset) addTarget(i int, t *target) {
	base := []string{"job", t.job, "instance", t.instance}
	if t.zone != "" {
		base = append(base, "zone", t.zone)
	}
	add := func(name string, times []int64, next func() float64, more ...string) {
		d.add(name, d.floats(times, next), false, slices.Concat(base, more)...)
	}
	for _, code := range []string{"200", "404", "500"} {
		add("requests_total", t.times, d.counter(1+d.rng.Float64()*50, true), "code", code)
	}
	add("errors_total", t.times, d.counter(0.3, true))
	add("bytes_total", t.times, d.counter(1e6, false))
	add("temperature", t.times, d.gauge(20, 2))
	add("memory_ratio", t.times, d.gauge(0.5, 6))
	add("up", t.times, func() float64 { return float64(min(1, d.rng.IntN(12))) })
	turn := d.rng.IntN(len(t.times))
	d.add("target_info", d.cut(d.floats(t.times[:turn], func() float64 { return 1 })), false, append(slices.Clone(base), "version", "1.0")...)
	d.add("target_info", d.floats(t.times[turn:], func() float64 { return 1 }), false, append(slices.Clone(base), "version", "1.1")...)
	if i == 0 || i == 2 || i == 3 {
		d.addClassic(i, t, base)
	}
}

// addClassic adds a classic histogram whose buckets are those of one counter; that of target 2 is not monotonic.
func (d *dataset) addClassic(i int, t *target, base []string) {
	bounds := []string{"0.1", "0.5", "1", "2.5", "+Inf"}
	counts := make([]float64, len(bounds))
	all := make([][]sample, len(bounds))
	for _, at := range t.times {
		if d.rng.IntN(60) == 0 {
			clear(counts)
		}
		for b := range bounds {
			counts[b] += float64(d.rng.IntN(5))
			if b > 0 && i != 2 {
				counts[b] = max(counts[b], counts[b-1])
			}
			all[b] = append(all[b], sample{t: at, v: counts[b]})
		}
	}
	for b, le := range bounds {
		d.add("latency_seconds_bucket", all[b], false, append(slices.Clone(base), "le", le)...)
	}
	d.add("latency_seconds_count", all[len(bounds)-1], false, base...)
	d.add("latency_seconds_sum", d.floats(t.times, d.counter(3, false)), false, base...)
	if i == 3 {
		d.add("latency_seconds_bucket", all[2][:len(all[2])/2], false, append(slices.Clone(base), "le", "much")...)
	}
}

// addOdd adds what real systems rarely have.
func (d *dataset) addOdd() {
	times := d.times(0)
	of := func(all ...float64) func() float64 { return func() float64 { return all[d.rng.IntN(len(all))] } }
	kinds := []func() float64{
		d.special, d.bits, d.gauge(1e300, 0), d.gauge(1e-300, 0), of(0, math.Copysign(0, -1)),
		of(1e16, -1e16, 1, 3, 0.1), of(1<<53, 1<<53-1, -1<<53, 1, 3), of(math.NaN(), 1, 2), d.counter(1e15, true),
		of(1.1e308, 1.7e308, -1.3e308, 1e292), of(1.3e308, 1.6e308, 1e293, 3),
	}
	for i, next := range kinds {
		d.add("weird", d.floats(times, next), false, "kind", strconv.Itoa(i))
	}
	d.add("weird", []sample{{t: times[len(times)/2], v: 7}}, false, "kind", "single")
	for i := range 3 {
		var few []sample
		for t := dataFrom + d.rng.Int64N(minute); t < dataTo; t += d.rng.Int64N(9 * minute) {
			few = append(few, sample{t: t, v: float64(d.rng.IntN(3))})
		}
		d.add("sparse", few, false, "id", strconv.Itoa(i))
	}
	for i := range 2 {
		d.add("http.server.duration", d.floats(times, d.gauge(3, 1)), false, "svc.name", fmt.Sprintf("s%d", i), "job", "api")
	}
	for i, unit := range []string{"bytes", "seconds", ""} {
		pairs := []string{"__type__", "counter", "job", "api", "id", strconv.Itoa(i)}
		if unit != "" {
			pairs = append(pairs, "__unit__", unit)
		}
		d.add("typed", d.floats(times, d.counter(2, true)), false, pairs...)
	}
	d.add("native_latency", d.natives(times, intHistogram), true, "job", "api", "form", "integer")
	d.add("native_latency", d.natives(times, floatHistogram), true, "job", "api", "form", "float")
	d.add("native_latency", d.natives(times, customHistogram), true, "job", "db", "form", "custom")
	half := len(times) / 2
	d.add("mixed", slices.Concat(d.floats(times[:half], d.gauge(5, 2)), d.natives(times[half:], intHistogram)), true, "job", "api")
	d.add("mixed", d.floats(times, d.gauge(5, 2)), true, "job", "db")
}

func (d *dataset) add(name string, samples []sample, native bool, pairs ...string) {
	if len(samples) == 0 {
		return
	}
	if d.metrics[name] == nil {
		d.names = append(d.names, name)
	}
	d.metrics[name] = append(d.metrics[name], len(d.series))
	ls := labels.FromStrings(append(slices.Clone(pairs), metricName, name)...)
	d.series = append(d.series, series{labels: ls, samples: samples, native: native})
}

// floats draws a sample for each of the times, and then makes holes.
func (d *dataset) floats(times []int64, next func() float64) []sample {
	out := make([]sample, len(times))
	for i, t := range times {
		out[i] = sample{t: t, v: next()}
	}
	return d.holes(out)
}

// holes cuts pieces out, some of which begin with a stale marker, some of which are longer than the lookback, and sometimes the ends.
func (d *dataset) holes(in []sample) []sample {
	if len(in) < 20 || d.rng.IntN(2) == 0 {
		return in
	}
	out := slices.Clone(in)
	for range 1 + d.rng.IntN(4) {
		if len(out) == 0 {
			return out
		}
		from, n := d.rng.IntN(len(out)), 1+d.rng.IntN(4)
		if d.rng.IntN(3) == 0 {
			n = 18 + d.rng.IntN(25)
		}
		to := min(from+n, len(out))
		if d.rng.IntN(2) == 0 {
			out[from] = sample{t: out[from].t, v: math.Float64frombits(value.StaleNaN)}
			from++
		}
		out = slices.Delete(out, min(from, to), to)
	}
	if len(out) == 0 {
		return out
	}
	switch d.rng.IntN(4) {
	case 0:
		out = out[d.rng.IntN(len(out)):]
	case 1:
		out = d.cut(out)
	}
	return out
}

// cut ends a series: the last sample becomes a stale marker.
func (d *dataset) cut(in []sample) []sample {
	if len(in) == 0 {
		return in
	}
	out := slices.Clone(in[:1+d.rng.IntN(len(in))])
	out[len(out)-1] = sample{t: out[len(out)-1].t, v: math.Float64frombits(value.StaleNaN)}
	return out
}

func (d *dataset) counter(step float64, whole bool) func() float64 {
	v := math.Floor(d.rng.Float64() * 1000 * step)
	return func() float64 {
		if d.rng.IntN(50) == 0 {
			v = 0
		}
		v += d.rng.ExpFloat64() * step
		if whole {
			return math.Floor(v)
		}
		return v
	}
}

// gauge walks about middle; with decimals above 0 its values are rounded to them. Now and then it is something special for some samples, or keeps its value.
func (d *dataset) gauge(middle float64, decimals int) func() float64 {
	v := middle
	var odd float64
	left := 0 // samples for which the value is odd
	return func() float64 {
		switch d.rng.IntN(100) {
		case 0:
			odd, left = d.special(), 1+d.rng.IntN(6)
		case 1:
			odd, left = v, 1+d.rng.IntN(6)
		}
		if left > 0 {
			left--
			return odd
		}
		v += middle * 0.1 * d.rng.NormFloat64()
		if decimals == 0 {
			return v
		}
		scale := math.Pow10(decimals)
		return math.Round(v*scale) / scale
	}
}

// special draws one of the values that arithmetic has rules for.
func (d *dataset) special() float64 {
	all := []float64{
		0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64,
		math.SmallestNonzeroFloat64, -5e-310, 0.1, 1 << 53, math.Float64frombits(0xfff8000000000000), math.Float64frombits(0x7ff80000deadbeef),
	}
	return all[d.rng.IntN(len(all))]
}

// bits draws from all doubles but the stale marker.
func (d *dataset) bits() float64 {
	for {
		if v := math.Float64frombits(d.rng.Uint64()); !value.IsStaleNaN(v) {
			return v
		}
	}
}
