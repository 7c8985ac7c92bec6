package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/model"
)

// PromEngine is what EngineAsker needs of a query engine.
type PromEngine interface {
	NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (promql.Query, error)
	NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error)
}

// EngineAsker evaluates PromQL over a storage. The tenant, if the storage wants one, is in the context of Ask.
type EngineAsker struct {
	Engine    PromEngine
	Queryable storage.Queryable
}

// Ask implements Asker.
func (e *EngineAsker) Ask(ctx context.Context, question Question) (*Answer, error) {
	var q promql.Query
	var err error
	if question.Step == 0 {
		q, err = e.Engine.NewInstantQuery(ctx, e.Queryable, nil, question.Query, question.End)
	} else {
		q, err = e.Engine.NewRangeQuery(ctx, e.Queryable, nil, question.Query, question.Start, question.End, question.Step)
	}
	if err != nil {
		var parse parser.ParseErrors
		if errors.As(err, &parse) {
			err = fmt.Errorf("%w: %w", err, model.ErrInvalid)
		}
		return nil, err
	}
	defer q.Close()
	r := q.Exec(ctx)
	if r.Err != nil {
		return nil, r.Err
	}
	a := &Answer{Type: string(r.Value.Type())}
	warnings, infos := r.Warnings.AsStrings(question.Query, 0, 0)
	a.Notes = append(warnings, infos...)
	switch v := r.Value.(type) {
	case promql.Scalar:
		a.Series = []AnswerSeries{{Points: []Point{{T: v.T, V: v.V}}}}
	case promql.String:
		a.Text = v.V
	case promql.Vector:
		for i := range v {
			a.Series = append(a.Series, AnswerSeries{v[i].Metric, []Point{pointOf(v[i].T, v[i].F, v[i].H)}})
		}
	case promql.Matrix:
		for i := range v {
			a.Series = append(a.Series, AnswerSeries{v[i].Metric, pointsOf(&v[i])})
		}
	default:
		return nil, fmt.Errorf("answer of type %s: %w", r.Value.Type(), model.ErrInvalid)
	}
	// What the engine answers with it uses again.
	for i := range a.Series {
		a.Series[i].Labels = a.Series[i].Labels.Copy()
	}
	return a, nil
}

// pointsOf joins floats and histograms of a series, each in order of time.
func pointsOf(s *promql.Series) []Point {
	out := make([]Point, 0, len(s.Floats)+len(s.Histograms))
	f, h := s.Floats, s.Histograms
	for len(f) > 0 || len(h) > 0 {
		if len(h) == 0 || len(f) > 0 && f[0].T < h[0].T {
			out, f = append(out, Point{T: f[0].T, V: f[0].F}), f[1:]
			continue
		}
		out, h = append(out, pointOf(h[0].T, 0, h[0].H)), h[1:]
	}
	return out
}

func pointOf(t int64, v float64, h *histogram.FloatHistogram) Point {
	if h == nil {
		return Point{T: t, V: v}
	}
	out := &AnswerHistogram{Count: h.Count, Sum: h.Sum}
	for it := h.AllBucketIterator(); it.Next(); {
		b := it.At()
		if b.Count == 0 {
			continue
		}
		out.Buckets = append(out.Buckets, AnswerBucket{edgesOf(b.LowerInclusive, b.UpperInclusive), b.Lower, b.Upper, b.Count})
	}
	return Point{T: t, H: out}
}

func edgesOf(lower, upper bool) int {
	switch {
	case lower && upper:
		return 3
	case lower:
		return 1
	case upper:
		return 0
	}
	return 2
}
