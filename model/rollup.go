package model

import "fmt"

// Aggregate is one of the numbers that a rollup keeps of the samples of a window.
type Aggregate uint8

// The aggregates. Stale markers are in none of them.
const (
	// Count is the number of samples, floats and native histograms.
	Count Aggregate = iota
	// Sum, Min and Max are those of the floats.
	Sum
	Min
	Max
	// Last is the value of the last sample.
	Last
	// Increase is what a counter grew by from the sample before the first one of the window to the last one, resets accounted for.
	Increase
	// Aggregates is how many there are.
	Aggregates
)

// String returns the name of the aggregate, as in names of columns.
func (a Aggregate) String() string {
	if a >= Aggregates {
		return fmt.Sprintf("aggregate %d", uint8(a))
	}
	return [Aggregates]string{"count", "sum", "min", "max", "last", "increase"}[a]
}

// Rollup are the windows of one series as parallel arrays, T ascending: the end of each window, see WindowEnd. V[a][i] is aggregate a of window i. H
// is nil when no window ends in a native histogram; else len(H) == len(T), and where H[i] != nil that is the last sample of the window (in the form of
// Columns.H), and of V all but Count are 0.
type Rollup struct {
	T []int64
	V [Aggregates][]float64
	H [][]byte
}

// Len is the number of windows.
func (r *Rollup) Len() int { return len(r.T) }

// Reset empties the columns and keeps their memory.
func (r *Rollup) Reset() {
	r.T, r.H = r.T[:0], nil
	for a := range r.V {
		r.V[a] = r.V[a][:0]
	}
}

// Append adds a window. h, if not nil, is kept, not copied.
func (r *Rollup) Append(t int64, v *[Aggregates]float64, h []byte) {
	if h != nil && r.H == nil {
		r.H = make([][]byte, len(r.T), len(r.T)+16)
	}
	r.T = append(r.T, t)
	for a := range r.V {
		r.V[a] = append(r.V[a], v[a])
	}
	if r.H != nil {
		r.H = append(r.H, h)
	}
}

// Check returns an error that wraps ErrInvalid unless the columns are as long as one another, not empty, strictly ascending in time, and have no
// histogram of more than maxHistogram bytes.
func (r *Rollup) Check(maxHistogram int) error {
	for a := range r.V {
		c := Columns{T: r.T, V: r.V[a], H: r.H}
		if len(c.V) != len(c.T) || a == 0 {
			if err := c.Check(maxHistogram); err != nil {
				return fmt.Errorf("%s: %w", Aggregate(a), err)
			}
		}
	}
	return nil
}

// WindowEnd returns the end of the window of the day that the timestamp lies in, windows being (end−resolution, end] and cut at midnight: the end is the next
// multiple of resolutionMs, which divides a day, but not later than the day's last millisecond. So a sample at 00:00:00.000 is alone in the first window.
func WindowEnd(t, resolutionMs int64) int64 {
	day := DayOf(t).Range()
	since := t - day.MinMs
	end := day.MinMs + (since+resolutionMs-1)/resolutionMs*resolutionMs
	return min(end, day.MaxMs)
}
