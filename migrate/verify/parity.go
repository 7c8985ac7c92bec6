package verify

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// Question is a PromQL expression and when it is asked: at End, or if Step is not 0 at each step from Start to End.
type Question struct {
	Query      string
	Start, End time.Time
	Step       time.Duration
}

// Asker answers PromQL. An error says that there is no answer; it wraps model.ErrInvalid if the expression is to blame.
type Asker interface {
	Ask(ctx context.Context, q Question) (*Answer, error)
}

// Answer is what came of a question: series in order of their labels, each with points in order of time. A scalar is a series without labels.
type Answer struct {
	// Type is "vector", "matrix", "scalar" or "string".
	Type   string
	Series []AnswerSeries
	// Text is the value of a string.
	Text string
	// Notes are warnings and infos.
	Notes []string
}

// AnswerSeries is one series of an answer.
type AnswerSeries struct {
	Labels labels.Labels
	Points []Point
}

// Point is a value of an answer, a native histogram if H is not nil.
type Point struct {
	T int64
	V float64
	H *AnswerHistogram
}

// AnswerHistogram is a native histogram as the API tells it. Empty buckets are left out.
type AnswerHistogram struct {
	Count, Sum float64
	Buckets    []AnswerBucket
}

// AnswerBucket is a bucket of an AnswerHistogram. Edges is 0 for (], 1 for [), 2 for (), 3 for [].
type AnswerBucket struct {
	Edges               int
	Lower, Upper, Count float64
}

// Compared is a question with what came of it on both sides.
type Compared struct {
	Query   string `json:"query"`
	StartMs int64  `json:"start_ms"`
	EndMs   int64  `json:"end_ms"`
	StepMs  int64  `json:"step_ms"` // 0 of an instant query
	Equal   bool   `json:"equal"`
	// Series and Points are what was compared, of both sides together.
	Series int `json:"series"`
	Points int `json:"points"`
	// Different is how many points differ, those of series that one side lacks included; Differences are the first of them.
	Different   int               `json:"different"`
	Differences []PointDifference `json:"differences"`
	Notes       []string          `json:"notes"`
}

// PointDifference is a point of which the sides say different things; "" is nothing.
type PointDifference struct {
	Series string `json:"series"`
	TimeMs int64  `json:"time_ms"`
	Source string `json:"source"`
	Target string `json:"target"`
}

// Different is how many of the queries had another answer.
func Different(all []Compared) (n int) {
	for i := range all {
		if !all[i].Equal {
			n++
		}
	}
	return n
}

// Parity asks both sides each question, and compares the answers: labels, times, and values within the tolerance, of maxNamed differences each. The order of series does not count. An error is that of
// a side which had no answer; it comes with what was compared before.
func Parity(ctx context.Context, questions []Question, source, target Asker, tolerance float64, maxNamed int) ([]Compared, error) {
	var out []Compared
	for _, q := range questions {
		a, err := source.Ask(ctx, q)
		if err != nil {
			return out, fmt.Errorf("ask source %q: %w", q.Query, err)
		}
		b, err := target.Ask(ctx, q)
		if err != nil {
			return out, fmt.Errorf("ask bucket %q: %w", q.Query, err)
		}
		out = append(out, compareAnswers(q, a, b, tolerance, maxNamed))
	}
	return out, nil
}

// answers compares two answers.
type answers struct {
	Compared
	tolerance float64
	maxNamed  int
}

func compareAnswers(q Question, a, b *Answer, tolerance float64, maxNamed int) Compared {
	c := &answers{Compared: Compared{Query: q.Query, StartMs: q.Start.UnixMilli(), EndMs: q.End.UnixMilli(), StepMs: q.Step.Milliseconds()}, tolerance: tolerance, maxNamed: maxNamed}
	if q.Step == 0 {
		c.StartMs = c.EndMs
	}
	for _, n := range a.Notes {
		c.Notes = append(c.Notes, "source: "+n)
	}
	for _, n := range b.Notes {
		c.Notes = append(c.Notes, "bucket: "+n)
	}
	switch {
	case a.Type != b.Type && (len(a.Series) > 0 || len(b.Series) > 0):
		c.differ(labels.EmptyLabels(), c.EndMs, "a "+a.Type, "a "+b.Type)
	case a.Text != b.Text:
		c.differ(labels.EmptyLabels(), c.EndMs, a.Text, b.Text)
	default:
		c.join(a.Series, b.Series)
	}
	c.Equal = c.Different == 0
	c.Differences, c.Notes = orEmpty(c.Differences), orEmpty(c.Notes)
	return c.Compared
}

// join compares series by series.
func (c *answers) join(a, b []AnswerSeries) {
	byLabels := func(x, y AnswerSeries) int { return labels.Compare(x.Labels, y.Labels) }
	slices.SortFunc(a, byLabels)
	slices.SortFunc(b, byLabels)
	for len(a) > 0 || len(b) > 0 {
		order := -1
		switch {
		case len(a) == 0:
			order = 1
		case len(b) > 0:
			order = byLabels(a[0], b[0])
		}
		var x, y []Point
		ls := labels.EmptyLabels()
		if order <= 0 {
			ls, x, a = a[0].Labels, a[0].Points, a[1:]
		}
		if order >= 0 {
			ls, y, b = b[0].Labels, b[0].Points, b[1:]
		}
		c.Series++
		c.points(ls, x, y)
	}
}

// points compares the points of one series.
func (c *answers) points(ls labels.Labels, a, b []Point) {
	for len(a) > 0 || len(b) > 0 {
		c.Points++
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].T < b[0].T:
			c.differ(ls, a[0].T, a[0].String(), "")
			a = a[1:]
		case len(a) == 0 || b[0].T < a[0].T:
			c.differ(ls, b[0].T, "", b[0].String())
			b = b[1:]
		default:
			if !samePoint(a[0], b[0], c.tolerance) {
				c.differ(ls, a[0].T, a[0].String(), b[0].String())
			}
			a, b = a[1:], b[1:]
		}
	}
}

func (c *answers) differ(ls labels.Labels, t int64, source, target string) {
	c.Different++
	if len(c.Differences) < c.maxNamed {
		c.Differences = append(c.Differences, PointDifference{ls.String(), t, source, target})
	}
}

// samePoint compares values of one time. Answers that come as text do not tell one NaN from another.
func samePoint(a, b Point, tolerance float64) bool {
	switch {
	case (a.H == nil) != (b.H == nil):
		return false
	case a.H == nil:
		return sameResult(a.V, b.V, tolerance)
	}
	if !sameResult(a.H.Count, b.H.Count, tolerance) || !sameResult(a.H.Sum, b.H.Sum, tolerance) || len(a.H.Buckets) != len(b.H.Buckets) {
		return false
	}
	for i, x := range a.H.Buckets {
		y := b.H.Buckets[i]
		if x.Edges != y.Edges || !sameResult(x.Lower, y.Lower, tolerance) || !sameResult(x.Upper, y.Upper, tolerance) || !sameResult(x.Count, y.Count, tolerance) {
			return false
		}
	}
	return true
}

func sameResult(a, b, tolerance float64) bool {
	if math.IsNaN(a) && math.IsNaN(b) {
		return value.IsStaleNaN(a) == value.IsStaleNaN(b)
	}
	return sameFloat(a, b, tolerance)
}

// String is the value for people.
func (p Point) String() string {
	if p.H == nil {
		return floatText(p.V)
	}
	return fmt.Sprintf("histogram of count %s, sum %s, %d buckets", floatText(p.H.Count), floatText(p.H.Sum), len(p.H.Buckets))
}
