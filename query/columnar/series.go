package columnar

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varvedb/varve/model"
)

// Decoder is what a storage.Series may offer beside its iterator.
type Decoder interface {
	// Columns appends all samples of the series to dst, which is empty, ascending. H is left nil if there is no native histogram among them; samples
	// with a start timestamp are floats. Safe for concurrent use on different series.
	Columns(dst *model.Columns) error
}

// errNative ends the evaluation of a part that meets a native histogram.
var errNative = errors.New("native histogram in a query that is evaluated column-wise")

// absent stands, in arrays of one value a step, for a step without a value. It is the staleness marker, which no function
// returns: functions do not see markers, and arithmetic on any NaN sets the quiet bit that the marker lacks.
var absent = math.Float64frombits(value.StaleNaN)

func isAbsent(f float64) bool { return math.Float64bits(f) == value.StaleNaN }

// series is one series as functions see it, and the memory that evaluation needs for one; it is used for one series after the
// other by one worker. Functions keep what they compute from timestamps alone as long as they do not change.
type series struct {
	columns  model.Columns
	iterator chunkenc.Iterator

	// t and v are the samples. points are the same for functions of the engine, made by paired.
	t      []int64
	v      []float64
	points []promql.FPoint
	isNew  bool // points are not made yet

	kept    keptWindows
	windows *windows // of t

	resets []int32
	prefix []float64
	sorted []float64
	keys   []int64
	blocks []int64
	call   engineCall

	ctx    context.Context //nolint:containedctx // that of the evaluation under way
	walked int64           // samples since it was last looked at
}

// lookEvery is after how many samples of windows it is looked whether anybody still waits: some milliseconds.
const lookEvery = 1 << 20

// walk is to be called before the samples of a window are walked one by one. It returns an error once nobody waits any more: long windows of one series at many steps take
// seconds.
func (s *series) walk(w window) error {
	if s.walked += int64(w.hi - w.lo); s.walked < lookEvery {
		return nil
	}
	s.walked = 0
	return ended(s.ctx)
}

// load decodes a series. markers says whether staleness markers are kept.
func (s *series) load(from storage.Series, markers bool) error {
	s.columns.Reset()
	if d, ok := from.(Decoder); ok {
		if err := d.Columns(&s.columns); err != nil {
			return err
		}
		if s.columns.H != nil {
			return errNative
		}
	} else if err := s.iterate(from); err != nil {
		return err
	}
	s.t, s.v, s.isNew = s.columns.T, s.columns.V, true
	if !markers {
		s.dropMarkers()
	}
	return nil
}

// iterate reads a series that has no columns to offer.
func (s *series) iterate(from storage.Series) error {
	s.iterator = from.Iterator(s.iterator)
	for {
		switch s.iterator.Next() {
		case chunkenc.ValNone:
			return s.iterator.Err()
		case chunkenc.ValFloat:
			t, v := s.iterator.At()
			s.columns.T, s.columns.V = append(s.columns.T, t), append(s.columns.V, v)
		default:
			return errNative
		}
	}
}

func (s *series) dropMarkers() {
	i := slices.IndexFunc(s.v, isAbsent)
	if i < 0 {
		return
	}
	n := i
	for ; i < len(s.v); i++ {
		if !isAbsent(s.v[i]) {
			s.t[n], s.v[n] = s.t[i], s.v[i]
			n++
		}
	}
	s.t, s.v = s.t[:n], s.v[:n]
}

// paired returns the samples as the engine wants them.
func (s *series) paired() []promql.FPoint {
	if s.isNew {
		s.isNew = false
		s.points = s.points[:0]
		for i, t := range s.t {
			s.points = append(s.points, promql.FPoint{T: t, F: s.v[i]})
		}
	}
	return s.points
}

// grown returns p with length n; what is in it is anything.
func grown[T any](p []T, n int) []T {
	if cap(p) < n {
		return make([]T, n)
	}
	return p[:n]
}
