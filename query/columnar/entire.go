package columnar

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/schema"
)

// entire makes the results of a query out of the answer of the one part that it is, as the engine would in walking them step by
// step, which costs more than most functions do. The engine is then told of no series at all, and what is made here is put in the place of its
// empty value when it has ended; slots, timeouts, log and spans remain its own.
//
// What is made belongs to whoever takes it and to nobody's pool, so it stays good after Close.
type entire struct {
	part  *part
	grid  grid
	meter *meter
	// instant is a query that is one step and no range.
	instant bool
}

// value returns the matrix or vector. It is nil where two series are equal without their names: these the engine
// merges, or makes an error of.
func (w *entire) value(ctx context.Context, results []result, points int64) (parser.Value, error) {
	if points > w.meter.limit {
		return nil, promql.ErrTooManySamples(whileExecuting)
	}
	// Arrays of values are counted as if they were of points: half of the points is in there already.
	if err := w.meter.take(points * sampleBytes / 2); err != nil {
		return nil, err
	}
	all, unique := w.named(results)
	if !unique {
		w.meter.give(points * sampleBytes / 2)
		return nil, nil
	}
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if w.instant {
		return w.vector(all), nil
	}
	return w.matrix(all, points), nil
}

// named returns the results that have values under the labels that they end with, a range sorted by these and an instant in the
// order that it is in, and whether no two are the same.
func (w *entire) named(results []result) (all []result, unique bool) {
	all = make([]result, 0, len(results))
	sorted := true
	for _, r := range results {
		if !slices.ContainsFunc(r.values, isPresent) {
			continue
		}
		if w.part.dropsName() {
			r.labels = r.labels.DropReserved(schema.IsMetadataLabel)
		}
		sorted = sorted && (len(all) == 0 || labels.Compare(all[len(all)-1].labels, r.labels) < 0)
		all = append(all, r)
	}
	if sorted {
		return all, true
	}
	inOrder := all
	if w.instant {
		inOrder = slices.Clone(all)
	}
	slices.SortFunc(inOrder, func(a, b result) int { return labels.Compare(a.labels, b.labels) })
	for i := 1; i < len(inOrder); i++ {
		if labels.Equal(inOrder[i-1].labels, inOrder[i].labels) {
			return nil, false
		}
	}
	return all, true
}

func (w *entire) vector(all []result) promql.Vector {
	v := make(promql.Vector, len(all))
	for i, r := range all {
		v[i] = promql.Sample{Metric: r.labels, T: w.grid.startMs, F: r.values[0], DropName: w.part.dropsName()}
	}
	return v
}

// matrix has the points of all series in one array.
func (w *entire) matrix(all []result, points int64) promql.Matrix {
	m := make(promql.Matrix, len(all))
	array := make([]promql.FPoint, 0, points)
	for i, r := range all {
		begin, t := len(array), w.grid.startMs+int64(r.from)*w.grid.stepMs
		for _, f := range r.values {
			if isPresent(f) {
				array = append(array, promql.FPoint{T: t, F: f})
			}
			t += w.grid.stepMs
		}
		m[i] = promql.Series{Metric: r.labels, Floats: array[begin:len(array):len(array)], DropName: w.part.dropsName()}
	}
	return m
}

func isPresent(f float64) bool { return !isAbsent(f) }
