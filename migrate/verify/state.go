package verify

import (
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

// seriesKey stands for labels: two hashes of them, so that of millions of series no two have one key.
type seriesKey [2]uint64

// keyer makes keys. For one goroutine.
type keyer struct{ b []byte }

func (k *keyer) of(ls labels.Labels) seriesKey {
	k.b = ls.Bytes(k.b)
	d := xxhash.NewWithSeed(1)
	_, _ = d.Write(k.b) // it cannot fail
	return seriesKey{xxhash.Sum64(k.b), d.Sum64()}
}

// notReserved is what the bucket is asked for.
func notReserved(ls labels.Labels) bool { return !model.Reserved(ls) }

// ofRule reports whether a series is one that, by its name, a rule makes: it ends with whoever evaluates the rule.
func ofRule(ls labels.Labels) bool {
	name := ls.Get(index.MetricName)
	return strings.Contains(name, ":") || name == "ALERTS" || name == "ALERTS_FOR_STATE"
}

// state is what is known of a series that was alive at the end of the source. Times are in milliseconds, 0 for none.
type state struct {
	// At the source: the last sample, and the usual distance of two.
	sourceLast, sourceInterval int64
	// In the bucket, behind sourceLast: the first sample, the last one, the usual distance of two, how many gaps there are, and the longest.
	first, last, interval int64
	gapAt, gapMs          int64
	gaps                  int32
	// endedAtSource: the last sample at the source is a stale marker, or, which is quiet, was long before the end; ended: the last one in the bucket is a stale marker.
	endedAtSource, quiet, ended bool
	// known: the bucket has of what the source has of it.
	known  bool
	ofRule bool
	found  ProblemKind // what is wrong with it, or ""
}

// states are those of all series, in pages: growing one slice of millions would hold it twice.
type states struct {
	pages [][]state
	n     int
}

const statesPage = 1 << 13

func (s *states) at(i int32) *state { return &s.pages[i/statesPage][i%statesPage] }

// add appends a state and returns its index.
func (s *states) add(one state) int32 {
	if s.n%statesPage == 0 {
		s.pages = append(s.pages, make([]state, 0, statesPage))
	}
	last := &s.pages[len(s.pages)-1]
	*last = append(*last, one)
	s.n++
	return int32(s.n - 1)
}

// source takes the samples of the window. Called once a day, in order.
func (s *state) source(c *model.Columns) {
	n := c.Len()
	d := usualDistance(c.T)
	if d == 0 && s.sourceLast > 0 {
		d = c.T[0] - s.sourceLast
	}
	if n < fewSamples { // just behind midnight
		d = max(d, s.sourceInterval)
	}
	s.sourceInterval = d
	s.sourceLast, s.endedAtSource = c.T[n-1], stale(c, n-1)
}

// live takes the samples of the bucket of one day, of which those behind the end of the source count. Called once a day, in order.
func (s *state) live(c *model.Columns, intervals int) {
	from, found := slices.BinarySearch(c.T, s.sourceLast)
	if found {
		from++
	}
	s.known = s.known || from > 0
	if from == c.Len() {
		return
	}
	if d := usualDistance(c.T[from:]); d > 0 && (c.Len()-from >= fewSamples || s.sourceInterval == 0) {
		s.interval = d
	}
	// A day on which less came is a gap, whatever the days since are like.
	longest := gapOver(s.sourceInterval, intervals)
	if s.sourceInterval == 0 {
		longest = gapOver(s.interval, intervals)
	}
	for i := from; i < c.Len(); i++ {
		t := c.T[i]
		switch {
		case s.first == 0:
			s.first = t
		case !s.ended && longest > 0 && t-s.last > longest:
			// A series that ended, by a stale marker, may begin again when it likes.
			if s.gaps++; t-s.last > s.gapMs {
				s.gapAt, s.gapMs = s.last, t-s.last
			}
		}
		s.last, s.ended = t, stale(c, i)
	}
}

// gapOver is from what on the distance of two samples is a gap: so many intervals, and half of one for the jitter of scrapes.
func gapOver(interval int64, intervals int) int64 { return int64(intervals)*interval + interval/2 }

// stale reports whether a sample is a stale marker: Prometheus writes one when a series ends.
func stale(c *model.Columns, i int) bool {
	h := histogramAt(c, i)
	if h == nil {
		return value.IsStaleNaN(c.V[i])
	}
	r := decode(c, i)
	switch {
	case r.problem != nil:
		return false
	case r.whole != nil:
		return value.IsStaleNaN(r.whole.Sum)
	case r.float != nil:
		return value.IsStaleNaN(r.float.Sum)
	}
	return value.IsStaleNaN(r.v)
}

// fewSamples say nothing of their interval if there are others: one lost scrape looks like a slower scraper.
const fewSamples = 4

// usualDistance is the median of the distances of times, of two the shorter; 0 if there are less than two of them.
func usualDistance(t []int64) int64 {
	const enough = 64
	var d [enough]int64
	n := 0
	for i := max(1, len(t)-enough); i < len(t); i++ {
		d[n] = t[i] - t[i-1]
		n++
	}
	if n == 0 {
		return 0
	}
	slices.Sort(d[:n])
	return d[(n-1)/2]
}

// slackMs is how late a sample may be, on top of its intervals, for a series to be fresh: what senders and requests take. defaultIntervalMs is that of a series that was seen once.
const (
	slackMs           = 60_000
	defaultIntervalMs = 60_000
)

// settle decides what is wrong with the series, if anything is: the worst, as the rest follows from it.
func (s *state) settle(endMs, nowMs int64, intervals int) {
	if !s.endedAtSource && s.sourceInterval > 0 && endMs-s.sourceLast > gapOver(s.sourceInterval, intervals)+slackMs {
		s.endedAtSource, s.quiet = true, true
	}
	if s.endedAtSource {
		return
	}
	interval := max(s.sourceInterval, s.interval)
	if interval == 0 {
		interval = defaultIntervalMs
	}
	longest := gapOver(interval, intervals)
	slower := s.sourceInterval > 0 && 2*s.interval > 3*s.sourceInterval
	switch {
	case s.first == 0 && nowMs-s.sourceLast <= longest+slackMs:
		// Nothing was due yet.
	case s.first == 0:
		s.found = MissingLive
	case !s.ended && nowMs-s.last > longest+slackMs:
		s.found = Silent
	case s.first-s.sourceLast > longest:
		s.found = HandoverGap
	case s.gaps > 0 && !(slower && s.gapMs <= longest):
		s.found = LiveGap
	case slower:
		s.found = Slower
	}
}

// problem is the series as a report names it.
func (s *state) problem(series string) Problem {
	p := Problem{Kind: s.found, Series: series, SourceLastMs: s.sourceLast, FirstMs: s.first, LastMs: s.last, SourceIntervalMs: s.sourceInterval, IntervalMs: s.interval}
	switch s.found {
	case HandoverGap:
		p.GapMs = s.first - s.sourceLast
	case LiveGap:
		p.GapAtMs, p.GapMs, p.Gaps = s.gapAt, s.gapMs, int64(s.gaps)
	}
	return p
}
