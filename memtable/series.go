package memtable

import "math"

// series is what a table holds of one series.
type series struct {
	side *side

	enc    encoder
	firstT int64 // of the blocks

	block  uint32 // the open block, 0 before the first sample
	blocks uint32 // how many there are
	used   uint16 // of the open block
	count  uint16
	size   uint16
}

// side holds what does not fit into blocks: samples that are not ascending, and histograms, in order of arrival. Samples here
// win over those in blocks, and later ones over earlier ones.
type side struct {
	runs       []run // what samples held before, oldest first
	samples    []sideSample
	histograms [][]byte // nil, or as long as samples
	minT, maxT int64
}

type sideSample struct {
	t int64
	v float64
}

// verdict says what became of an appended sample.
type verdict uint8

const (
	stored verdict = iota
	beside         // in order, in the side buffer
	outOfOrder
	duplicate
	overwritten
)

// push adds a float. The page's lock is held.
func (s *series) push(a *arena, t int64, v float64) verdict {
	if s.block != 0 {
		if t > s.enc.lastT && (s.side == nil || s.side.histograms == nil) {
			s.pushOrdered(a, t, v)
			return stored
		}
		return s.pushSide(a, t, v)
	}
	if s.side != nil {
		return s.pushSide(a, t, v)
	}
	s.firstT = t
	s.enc.scale = noScale
	s.open(a, t, v)
	return stored
}

func (s *series) pushOrdered(a *arena, t int64, v float64) {
	b := a.block(s.block)[:s.size]
	if n, ok := s.enc.put(b[s.used:], t, v); ok && s.count < maxRun {
		s.used += uint16(n)
		s.count++
		return
	}
	finish(b, s.used, s.count)
	s.open(a, t, v)
}

// open begins a block with the sample.
func (s *series) open(a *arena, t int64, v float64) {
	size := blockSize(s.blocks)
	name, b := a.alloc(size)
	s.used = s.enc.begin(b, s.block, t, v)
	s.block, s.count, s.size = name, 1, uint16(size)
	s.blocks++
}

// pushSide adds a float that is not later than the last one, or not of a series of floats only.
func (s *series) pushSide(a *arena, t int64, v float64) verdict {
	had, known := s.latestAt(t)
	if known && had == math.Float64bits(v) {
		return duplicate
	}
	_, maxT, _ := s.bounds()
	s.addSide(t, v, nil)
	s.side.compress(a)
	switch {
	case known:
		return overwritten
	case t > maxT:
		return beside
	}
	return outOfOrder
}

// latestAt returns the value at t if it is quickly known: that of the last sample added in or out of order.
func (s *series) latestAt(t int64) (uint64, bool) {
	if s.side != nil {
		if n := len(s.side.samples); n > 0 && s.side.samples[n-1].t == t {
			if s.side.histograms != nil && s.side.histograms[n-1] != nil {
				return 0, false
			}
			return math.Float64bits(s.side.samples[n-1].v), true
		}
		if t <= s.side.maxT && t >= s.side.minT {
			return 0, false
		}
	}
	if s.block != 0 && t == s.enc.lastT {
		return s.enc.lastBits, true
	}
	return 0, false
}

// pushHistogram adds a histogram; h becomes the series'.
func (s *series) pushHistogram(t int64, h []byte) verdict {
	if s.side != nil && s.side.histograms != nil {
		n := len(s.side.samples) - 1
		if last := s.side.histograms[n]; s.side.samples[n].t == t && last != nil {
			if string(last) == string(h) {
				return duplicate
			}
			s.addSide(t, 0, h)
			return overwritten
		}
	}
	s.addSide(t, 0, h)
	return stored
}

func (s *series) addSide(t int64, v float64, h []byte) {
	if s.side == nil {
		s.side = &side{minT: t, maxT: t}
	}
	d := s.side
	if h != nil && d.histograms == nil {
		d.histograms = make([][]byte, len(d.samples), len(d.samples)+4)
	}
	d.samples = append(d.samples, sideSample{t, v})
	if d.histograms != nil {
		d.histograms = append(d.histograms, h)
	}
	d.minT, d.maxT = min(d.minT, t), max(d.maxT, t)
}

// bounds returns the smallest and largest timestamps, and whether there are samples at all. The page's lock is held.
func (s *series) bounds() (minT, maxT int64, any bool) {
	minT, maxT = math.MaxInt64, math.MinInt64
	if s.block != 0 {
		minT, maxT = s.firstT, s.enc.lastT
	}
	if s.side != nil {
		minT, maxT = min(minT, s.side.minT), max(maxT, s.side.maxT)
	}
	return minT, maxT, minT <= maxT
}
