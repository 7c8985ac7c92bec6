package query

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/model"
)

const (
	minuteMs      = 60_000
	fiveMinutesMs = 5 * minuteMs
	hourMs        = 60 * minuteMs
)

// use is what the samples of a selection are looked at for.
type use uint8

const (
	useSamples use = iota // for themselves: what rollups do not have
	useLabels             // not at all
	useLast
	useMin
	useMax
	useSum
	useCount
	useMean
	useCounter
)

// uses are those of functions of a range. All others look at samples for themselves.
var uses = map[string]use{
	"last_over_time":    useLast,
	"present_over_time": useLast,
	"absent_over_time":  useLast,
	"min_over_time":     useMin,
	"max_over_time":     useMax,
	"sum_over_time":     useSum,
	"count_over_time":   useCount,
	"avg_over_time":     useMean,
	"rate":              useCounter,
	"increase":          useCounter,
}

// aggregates are what is read of rollups for the use, the one that has every window that is of use first.
func (u use) aggregates() []model.Aggregate {
	switch u {
	case useMin:
		return []model.Aggregate{model.Min}
	case useMax:
		return []model.Aggregate{model.Max}
	case useSum:
		return []model.Aggregate{model.Sum}
	case useCount:
		return []model.Aggregate{model.Count}
	case useMean:
		return []model.Aggregate{model.Sum, model.Count}
	case useCounter:
		return []model.Aggregate{model.Last, model.Increase}
	}
	return []model.Aggregate{model.Last}
}

// purpose is what a selection is for, as far as it decides whether rollups will do.
type purpose struct {
	use      use
	function string // "" for none
	// instant: each step wants one value, the last one.
	instant bool
	// reachMs is how far a step looks back: the range of a function, else the lookback of the query. stepMs is 0 for a single step. startMs is where what
	// the first step looks at begins; it is itself outside.
	reachMs, stepMs, startMs int64
}

// purposeOf reads the hints of a Select. Whoever gives none wants samples for themselves.
func purposeOf(h *storage.SelectHints, lookbackMs int64) purpose {
	switch {
	case h == nil:
		return purpose{}
	case h.Func == FuncSeries:
		return purpose{use: useLabels}
	case h.Range > 0:
		return purpose{use: uses[h.Func], function: h.Func, reachMs: h.Range, stepMs: h.Step, startMs: h.Start - 1}
	case h.Func == "timestamp":
		return purpose{function: h.Func}
	}
	return purpose{use: useLast, function: h.Func, instant: true, reachMs: lookbackMs, stepMs: h.Step, startMs: h.Start - 1}
}

// whole says that the samples of a window cannot be told apart in what it is looked at for, so that a range shorter than a window gets no answer from it. Of a counter
// and of the last sample it is known how they go on in between.
func (p *purpose) whole() bool { return p.use >= useMin && p.use <= useMean }

// aligned says that the ranges of all steps are whole windows, or that all steps are at ends of windows.
func (p *purpose) aligned(resolutionMs int64) bool {
	if p.instant {
		return p.stepMs%resolutionMs == 0 && (p.startMs+p.reachMs)%resolutionMs == 0
	}
	return p.reachMs%resolutionMs == 0 && p.stepMs%resolutionMs == 0 && p.startMs%resolutionMs == 0
}

// around is how far beyond its range a selection has to read of windows of the resolution: what a window says may be needed before its end, and after it.
func (p *purpose) around(r model.TimeRange, resolutionMs int64) model.TimeRange {
	switch {
	case p.use == useLabels:
		r.MaxMs += resolutionMs - 1
	case p.use == useCounter, p.use == useLast && p.reachMs < resolutionMs:
		r.MinMs -= resolutionMs
		r.MaxMs += resolutionMs
	}
	return r
}

// facts are what the catalog says of a day.
type facts struct {
	// thinned: raw samples have expired that rollups keep. rolled: every raw block is in the rollups.
	thinned, rolled bool
	// has5m and has1h say which rollups there are.
	has5m, has1h bool
}

func (f *facts) has(resolutionMs int64) bool {
	return resolutionMs == fiveMinutesMs && f.has5m || resolutionMs == hourMs && f.has1h
}

// choice is what a day is read from.
type choice struct {
	raw bool
	// rollupMs is the length of the windows of the rollups that are read, 0 for none.
	rollupMs int64
	// expired: rollups have what raw samples of the day do not, and cannot be used.
	expired bool
}

// choose says what a day is read from for the purpose.
func (p *purpose) choose(asked Resolution, day facts) choice {
	if day.rolled && asked != ResolutionDefault && asked != ResolutionRaw && p.use != useLabels {
		if ms := p.coarsest(asked, day); ms > 0 {
			return choice{rollupMs: ms}
		}
	}
	if !day.thinned || !day.has5m && !day.has1h {
		return choice{raw: true}
	}
	if asked == ResolutionRaw {
		return choice{raw: true, expired: p.use != useLabels}
	}
	for _, ms := range [...]int64{asked.resolutionMs(), fiveMinutesMs, hourMs} {
		if day.has(ms) && p.can(ms) {
			return choice{raw: true, rollupMs: ms}
		}
	}
	return choice{raw: true, expired: true}
}

// coarsest returns the longest windows that may take the place of raw samples, 0 for none. Ones that the ranges of all steps consist of come before longer ones, since answers
// from these are exact.
func (p *purpose) coarsest(asked Resolution, day facts) int64 {
	if ms := asked.resolutionMs(); ms > 0 {
		if day.has(ms) && p.can(ms) {
			return ms
		}
		return 0
	}
	fitting := int64(0)
	for _, ms := range [...]int64{hourMs, fiveMinutesMs} {
		switch {
		case !day.has(ms) || !p.fits(ms):
		case p.aligned(ms):
			return ms
		case fitting == 0:
			fitting = ms
		}
	}
	return fitting
}

// can says that there is an answer from windows of the resolution.
func (p *purpose) can(resolutionMs int64) bool {
	return p.use == useLabels || p.use != useSamples && (!p.whole() || p.reachMs >= resolutionMs)
}

// fits says that an answer from windows of the resolution is as good as one from raw samples, for ranges that end where windows do: as many whole windows
// in every range, and a new one at each step.
func (p *purpose) fits(resolutionMs int64) bool {
	if !p.can(resolutionMs) {
		return false
	}
	if p.instant {
		return p.stepMs >= resolutionMs
	}
	return p.reachMs%resolutionMs == 0 && (p.stepMs == 0 || p.stepMs >= resolutionMs)
}

type lookbackKey struct{}

// withLookback says how far the selections of a query look back for the last sample of an instant.
func withLookback(ctx context.Context, d time.Duration) context.Context {
	if d <= 0 {
		return ctx
	}
	return context.WithValue(ctx, lookbackKey{}, d)
}

func lookbackOf(ctx context.Context) (ms int64) {
	if d, ok := ctx.Value(lookbackKey{}).(time.Duration); ok {
		return d.Milliseconds()
	}
	return fiveMinutesMs
}
