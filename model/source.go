package model

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
)

// Source is the read seam for data that is not yet in the catalog: an ingester in
// this process, one across the network, or the tail of a writer's log.
type Source interface {
	// Writer is the id of the writer that the source answers for.
	Writer() string
	// Select returns the series of the tenant that match all matchers and have samples within the range.
	// Everything that was acknowledged before the call and is not in the catalog at some moment after the call began is in
	// the answer; samples that have meanwhile been committed may be in it too. The series are sorted by labels.Compare and
	// the result stays valid until Close. Safe for concurrent use.
	Select(ctx context.Context, tenant string, r TimeRange, matchers []*labels.Matcher) (*Selection, error)
}

// Watched is a Source that can tell what came to it since an earlier moment, for those who keep answers.
type Watched interface {
	Source
	// Since returns a moment that is now, and the smallest timestamp of all that was appended for the tenant after the given moment (0: none yet),
	// math.MaxInt64 if nothing was. What was acknowledged before the call is counted. It is not ok if what came since is not known.
	Since(tenant string, moment uint64) (now uint64, minMs int64, ok bool)
}

// Selection is the answer of a Source or of a block: series sorted by labels.Compare,
// each at most once.
type Selection struct {
	Series []Series
	// Warnings for the user, for example the time that a log tail reaches.
	Warnings []string
	// Release is called once by Close; nil if there is nothing to release.
	Release func()
}

// Close lets go of what the selection pins (generations, mapped files). The series may not be used afterwards.
func (s *Selection) Close() {
	if s != nil && s.Release != nil {
		s.Release()
		s.Release = nil
	}
}

// Series is one series of a Selection. Decoding happens at Samples, not before, so that a
// query over many series holds the samples of one at a time.
type Series interface {
	Labels() labels.Labels
	// Samples appends the samples within the range to dst, ascending, one per timestamp.
	// Safe for concurrent use on different dst.
	Samples(dst *Columns, r TimeRange) error
}

// Preceded is a Series that may know what came before the range of its selection, because it was read along with that: the other
// samples of a chunk. For a native histogram that is the first in a range it tells whether its counters were reset.
type Preceded interface {
	// Before appends the last sample before t that is known, if any is, to dst.
	Before(dst *Columns, t int64) error
}

// Before appends the last sample before t that one of the parts of a series knows of to dst, if any does. Parts are newest first.
func Before(dst *Columns, parts []Series, t int64) error {
	var c, last Columns
	for _, s := range parts {
		p, ok := s.(Preceded)
		if !ok {
			continue
		}
		c.Reset()
		if err := p.Before(&c, t); err != nil {
			return err
		}
		if c.Len() > 0 && (last.Len() == 0 || c.T[0] > last.T[0]) {
			c, last = last, c
		}
	}
	if last.Len() > 0 {
		dst.AppendAt(&last, 0)
	}
	return nil
}

// Columns are the samples of one series as parallel arrays, T ascending. H is nil when there is no histogram
// among them; else len(H) == len(T), and where H[i] != nil the sample is the native histogram H[i] (form: see
// HistogramSample) and V[i] means nothing.
type Columns struct {
	T []int64
	V []float64
	H [][]byte
}

// Reset empties the columns and keeps their memory.
func (c *Columns) Reset() {
	c.T, c.V = c.T[:0], c.V[:0]
	c.H = nil
}

// Len is the number of samples.
func (c *Columns) Len() int { return len(c.T) }

// Append adds a float sample.
func (c *Columns) Append(t int64, v float64) {
	c.T, c.V = append(c.T, t), append(c.V, v)
	if c.H != nil {
		c.H = append(c.H, nil)
	}
}

// AppendHistogram adds a native histogram; h is kept, not copied.
func (c *Columns) AppendHistogram(t int64, h []byte) {
	if c.H == nil {
		c.H = make([][]byte, len(c.T), len(c.T)+16)
	}
	c.T, c.V, c.H = append(c.T, t), append(c.V, 0), append(c.H, h)
}

// AppendAt adds the i-th sample of src.
func (c *Columns) AppendAt(src *Columns, i int) {
	if src.H != nil && src.H[i] != nil {
		c.AppendHistogram(src.T[i], src.H[i])
		return
	}
	c.Append(src.T[i], src.V[i])
}

// Check returns an error that wraps ErrInvalid unless the columns are as long as one another, not empty, strictly ascending in time, and have no
// histogram of more than maxHistogram bytes.
func (c *Columns) Check(maxHistogram int) error {
	if len(c.T) == 0 || len(c.V) != len(c.T) || c.H != nil && len(c.H) != len(c.T) {
		return fmt.Errorf("columns of %d, %d and %d samples: %w", len(c.T), len(c.V), len(c.H), ErrInvalid)
	}
	for i := 1; i < len(c.T); i++ {
		if c.T[i] <= c.T[i-1] {
			return fmt.Errorf("timestamp %d after %d: %w", c.T[i], c.T[i-1], ErrInvalid)
		}
	}
	for i, h := range c.H {
		if len(h) > maxHistogram {
			return fmt.Errorf("histogram of %d bytes at %d: %w", len(h), c.T[i], ErrInvalid)
		}
	}
	return nil
}
