package columnar

// extrapolated is rate, increase and delta.
type extrapolated struct {
	counter bool
	seconds float64 // of the range, if the result is per second
}

// stretch is what a rate needs to know of where the samples of a window lie.
type stretch struct {
	// interval is the time between first and last sample, toStart and toEnd how far beyond them is extrapolated, in seconds, factor the result of
	// all that on a difference of values.
	interval, toStart, toEnd, factor float64
}

// measure computes the stretches of all places.
func (e extrapolated) measure(w *windows) {
	w.measured, w.rates = true, w.rates[:0]
	for _, p := range w.places {
		w.rates = append(w.rates, e.stretch(p, w.spanMs))
	}
}

// stretch is that of a window whose samples lie so. It follows the engine's function step by step.
func (e extrapolated) stretch(p place, spanMs int64) stretch {
	r := stretch{
		toStart:  float64(p.toStart) / 1000,
		toEnd:    float64(p.toEnd) / 1000,
		interval: float64(spanMs-p.toStart-p.toEnd) / 1000,
	}
	between := r.interval / float64(p.count-1)
	threshold := between * 1.1
	if r.toStart >= threshold {
		r.toStart = between / 2
	}
	if r.toEnd >= threshold {
		r.toEnd = between / 2
	}
	r.factor = e.factor(&r, r.toStart)
	return r
}

func (e extrapolated) factor(r *stretch, toStart float64) float64 {
	factor := (r.interval + toStart + r.toEnd) / r.interval
	if e.seconds != 0 {
		factor /= e.seconds
	}
	return factor
}

func (e extrapolated) eval(s *series, out []float64) error {
	if !s.windows.measured {
		e.measure(s.windows)
	}
	var drops []int32
	if e.counter {
		drops = s.findResets()
	}
	v := s.v
	for i, w := range s.windows.at {
		if w.hi-w.lo < 2 {
			out[i] = absent
			continue
		}
		first := v[w.lo]
		result := v[w.hi-1] - first
		if len(drops) > 0 {
			for len(drops) > 0 && drops[0] <= w.lo {
				drops = drops[1:]
			}
			for _, d := range drops {
				if d >= w.hi {
					break
				}
				result += v[d-1]
			}
		}
		r := &s.windows.rates[s.windows.of[i]]
		factor := r.factor
		if e.counter && result > 0 && first >= 0 {
			// A counter is not extrapolated below zero.
			if toZero := r.interval * (first / result); toZero < r.toStart {
				factor = e.factor(r, toZero)
			}
		}
		out[i] = result * factor
	}
	return nil
}

// findResets lists the samples that are lower than the one before.
func (s *series) findResets() []int32 {
	s.resets = s.resets[:0]
	for i := 1; i < len(s.v); i++ {
		if s.v[i] < s.v[i-1] {
			s.resets = append(s.resets, int32(i))
		}
	}
	return s.resets
}

// irate is the rate between the last two samples.
func irate(s *series, out []float64) error {
	for i, w := range s.windows.at {
		if w.hi-w.lo < 2 {
			out[i] = absent
			continue
		}
		before, last := s.v[w.hi-2], s.v[w.hi-1]
		result := last
		if !(last < before) {
			result = last - before
		}
		result /= float64(s.t[w.hi-1]-s.t[w.hi-2]) / 1000
		out[i] = result
	}
	return nil
}

// idelta is the difference of the last two samples.
func idelta(s *series, out []float64) error {
	for i, w := range s.windows.at {
		out[i] = absent
		if w.hi-w.lo >= 2 {
			out[i] = s.v[w.hi-1] - s.v[w.hi-2]
		}
	}
	return nil
}

// resets counts the samples that are lower than the one before.
func resets(s *series, out []float64) error {
	s.prefix = grown(s.prefix, len(s.v))
	var n float64
	for i := range s.v {
		if i > 0 && s.v[i] < s.v[i-1] {
			n++
		}
		s.prefix[i] = n
	}
	s.differences(out)
	return nil
}

// changes counts the samples that differ from the one before; NaN does not differ from NaN.
func changes(s *series, out []float64) error {
	s.prefix = grown(s.prefix, len(s.v))
	var n float64
	for i := range s.v {
		if i > 0 && s.v[i] != s.v[i-1] && (s.v[i] == s.v[i] || s.v[i-1] == s.v[i-1]) {
			n++
		}
		s.prefix[i] = n
	}
	s.differences(out)
	return nil
}

// differences gives the count between the first and the last sample of each window.
func (s *series) differences(out []float64) {
	for i, w := range s.windows.at {
		out[i] = absent
		if w.lo < w.hi {
			out[i] = s.prefix[w.hi-1] - s.prefix[w.lo]
		}
	}
}
