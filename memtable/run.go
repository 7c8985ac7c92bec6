package memtable

import "github.com/varvedb/varve/model"

// run is a full side buffer of floats, sorted and put into blocks: a tenth of the memory. Blocks of a run form a chain of their own.
type run struct {
	block       uint32
	used, count uint16
}

const (
	// sideSampleBytes is what a sample in a side buffer counts as; buffers grow by a quarter to the double.
	sideSampleBytes = 24
	// sideLimit is the number of samples at which a side buffer becomes a run.
	sideLimit = 1024
)

// compress makes a run of the side buffer if it is full. A buffer with histograms stays as it is. The page's lock is held.
func (d *side) compress(a *arena) {
	if a.sideLimit == 0 || len(d.samples) < a.sideLimit || d.histograms != nil {
		return
	}
	order := sortedSide(d.samples, model.TimeRange{MinMs: d.minT, MaxMs: d.maxT})
	var s series
	for i, k := range order {
		if x := d.samples[k]; i+1 == len(order) || d.samples[order[i+1]].t != x.t {
			s.push(a, x.t, x.v)
		}
	}
	a.bytes.Add(-int64(len(d.samples) * sideSampleBytes))
	d.runs = append(d.runs, run{s.block, s.used, s.count})
	d.samples = nil
}

// readRuns returns the samples of all runs within the range, later runs winning. Neighbors are merged in pairs, so that each sample is
// moved about as often as the number of runs has binary digits.
func (s *snapshot) readRuns(runs []run, r model.TimeRange) model.Columns {
	var c model.Columns
	switch len(runs) {
	case 0:
	case 1:
		s.readBlocks(&c, runs[0], r)
	default:
		half := len(runs) / 2
		c = overlay(s.readRuns(runs[:half], r), s.readRuns(runs[half:], r))
	}
	return c
}

// overlay merges floats, those of upper winning.
func overlay(lower, upper model.Columns) model.Columns {
	switch {
	case upper.Len() == 0:
		return lower
	case lower.Len() == 0:
		return upper
	}
	out := model.Columns{T: make([]int64, 0, lower.Len()+upper.Len()), V: make([]float64, 0, lower.Len()+upper.Len())}
	at := 0
	for i, t := range upper.T {
		for at < len(lower.T) && lower.T[at] < t {
			out.T, out.V = append(out.T, lower.T[at]), append(out.V, lower.V[at])
			at++
		}
		if at < len(lower.T) && lower.T[at] == t {
			at++
		}
		out.T, out.V = append(out.T, t), append(out.V, upper.V[i])
	}
	out.T, out.V = append(out.T, lower.T[at:]...), append(out.V, lower.V[at:]...)
	return out
}
