package migrate

import "github.com/varvedb/varve/model"

// Estimate is about what a source has of a day, for dry runs over what is dear to read.
type Estimate struct{ Series, Samples, Histograms int64 }

// bytesPerSample is what a sample takes in a block of about the sort that servers write, where nothing was built that would tell.
const bytesPerSample = 1.1

// estimate counts a day by what the source says of it.
func (c *counters) estimate(e *Estimate, r model.TimeRange, l limits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Samples == 0 {
		return
	}
	if c.r.Blocks == 0 {
		c.r.MinMs, c.r.MaxMs = r.MinMs, r.MaxMs
	}
	c.r.MinMs, c.r.MaxMs = min(c.r.MinMs, r.MinMs), max(c.r.MaxMs, r.MaxMs)
	c.r.Estimated = true
	c.r.Days++
	c.r.Blocks += int(1 + max(e.Samples/l.samples, e.Series/l.series))
	c.r.Series += e.Series
	c.r.Samples += e.Samples
	c.r.Histograms += e.Histograms
	c.built += e.Samples
	c.builtBytes += int64(bytesPerSample * float64(e.Samples))
}
