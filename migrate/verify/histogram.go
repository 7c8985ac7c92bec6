package verify

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/model"
)

// rich is a decoded sample that may be more than a float.
type rich struct {
	start   int64
	v       float64
	whole   *histogram.Histogram      // with integers
	float   *histogram.FloatHistogram // with floats
	problem error                     // it is no histogram
}

func decode(c *model.Columns, i int) rich {
	b := histogramAt(c, i)
	if b == nil {
		return rich{v: c.V[i]}
	}
	var r rich
	r.start, r.v, b, r.problem = model.SplitStart(b)
	if r.problem != nil || b == nil {
		return r
	}
	var p prompb.Histogram
	if r.problem = p.Unmarshal(b); r.problem != nil {
		return r
	}
	if p.IsFloatHistogram() {
		r.float = p.ToFloatHistogram()
		r.problem = broken(r.float.Validate())
	} else {
		r.whole = p.ToIntHistogram()
		r.problem = broken(r.whole.Validate())
	}
	return r
}

// broken is what makes a histogram one that cannot be walked. A count that its buckets do not come to is a fault of whoever made it, and may be compared.
func broken(err error) error {
	if errors.Is(err, histogram.ErrHistogramCountMismatch) || errors.Is(err, histogram.ErrHistogramCountNotBigEnough) {
		return nil
	}
	return err
}

// String is the sample for people.
func (r rich) String() string {
	s := floatText(r.v)
	switch {
	case r.problem != nil:
		return fmt.Sprintf("a histogram that is none: %v", r.problem)
	case r.whole != nil:
		s = fmt.Sprintf("histogram of count %d, sum %s, schema %d", r.whole.Count, floatText(r.whole.Sum), r.whole.Schema)
	case r.float != nil:
		s = fmt.Sprintf("histogram of count %s, sum %s, schema %d", floatText(r.float.Count), floatText(r.float.Sum), r.float.Schema)
	}
	if r.start != 0 {
		s += fmt.Sprintf(", started at %s", timeText(r.start))
	}
	return s
}

// form is what a sample is.
func (r rich) form() string {
	switch {
	case r.problem != nil:
		return "broken histogram"
	case r.whole != nil:
		return "histogram with integers"
	case r.float != nil:
		return "histogram with floats"
	}
	return "float"
}

// compareRich says in what kind of way two samples differ, "" for none, and how.
func compareRich(a, b rich, tolerance float64) (Kind, func() (string, string)) {
	whole := func() (string, string) { return a.form() + ": " + a.String(), b.form() + ": " + b.String() }
	if a.form() != b.form() || a.problem != nil {
		return Types, whole
	}
	if a.start != b.start {
		return Types, func() (string, string) { return a.String(), b.String() }
	}
	what, x, y := "", "", ""
	switch {
	case a.whole != nil:
		what, x, y = compareWhole(a.whole, b.whole, tolerance)
	case a.float != nil:
		what, x, y = compareFloat(a.float, b.float, tolerance)
	case !sameFloat(a.v, b.v, tolerance):
		return Values, func() (string, string) { return texts(a.v, b.v) }
	}
	if what == "" {
		return "", whole
	}
	return Histograms, func() (string, string) { return what + " " + x, what + " " + y }
}

// fields are what histograms of both sorts have in common.
type fields struct {
	schema         int32
	gauge          bool
	zeroThreshold  float64
	sum            float64
	custom         []float64
	zero, count    string // for people
	zeroOK, sameOK bool
}

// compareFields finds the first field that differs.
func compareFields(a, b fields, tolerance float64) (what, x, y string) {
	switch {
	case a.gauge != b.gauge:
		return "gauge", fmt.Sprint(a.gauge), fmt.Sprint(b.gauge)
	case a.schema != b.schema:
		return "schema", fmt.Sprint(a.schema), fmt.Sprint(b.schema)
	case math.Float64bits(a.zeroThreshold) != math.Float64bits(b.zeroThreshold):
		return "zero threshold", floatText(a.zeroThreshold), floatText(b.zeroThreshold)
	case !histogram.CustomBucketBoundsMatch(a.custom, b.custom):
		return "bounds", fmt.Sprint(a.custom), fmt.Sprint(b.custom)
	case !sameFloat(a.sum, b.sum, tolerance):
		x, y = texts(a.sum, b.sum)
		return "sum", x, y
	case !a.sameOK:
		return "count", a.count, b.count
	case !a.zeroOK:
		return "zero bucket", a.zero, b.zero
	}
	return "", "", ""
}

func compareWhole(a, b *histogram.Histogram, tolerance float64) (what, x, y string) {
	of := func(h, o *histogram.Histogram) fields {
		return fields{
			h.Schema, h.CounterResetHint == histogram.GaugeType, h.ZeroThreshold, h.Sum, h.CustomValues,
			fmt.Sprint(h.ZeroCount), fmt.Sprint(h.Count), h.ZeroCount == o.ZeroCount, h.Count == o.Count,
		}
	}
	if what, x, y = compareFields(of(a, b), of(b, a), tolerance); what != "" {
		return what, x, y
	}
	same := func(m, n uint64) bool { return m == n }
	if what, x, y = compareBuckets(a.PositiveBucketIterator(), b.PositiveBucketIterator(), same); what == "" {
		what, x, y = compareBuckets(a.NegativeBucketIterator(), b.NegativeBucketIterator(), same)
	}
	return what, x, y
}

func compareFloat(a, b *histogram.FloatHistogram, tolerance float64) (what, x, y string) {
	same := func(m, n float64) bool { return sameFloat(m, n, tolerance) }
	of := func(h, o *histogram.FloatHistogram) fields {
		return fields{
			h.Schema, h.CounterResetHint == histogram.GaugeType, h.ZeroThreshold, h.Sum, h.CustomValues,
			floatText(h.ZeroCount), floatText(h.Count), same(h.ZeroCount, o.ZeroCount), same(h.Count, o.Count),
		}
	}
	if what, x, y = compareFields(of(a, b), of(b, a), tolerance); what != "" {
		return what, x, y
	}
	if what, x, y = compareBuckets(a.PositiveBucketIterator(), b.PositiveBucketIterator(), same); what == "" {
		what, x, y = compareBuckets(a.NegativeBucketIterator(), b.NegativeBucketIterator(), same)
	}
	return what, x, y
}

// compareBuckets finds the first bucket that differs. An empty one is as good as none.
func compareBuckets[N histogram.BucketCount](a, b histogram.BucketIterator[N], same func(m, n N) bool) (what, x, y string) {
	p, okA := filled(a)
	q, okB := filled(b)
	for okA || okB {
		switch {
		case !okB || okA && p.Index < q.Index:
			return bucketText(p), fmt.Sprint(p.Count), "0"
		case !okA || q.Index < p.Index:
			return bucketText(q), "0", fmt.Sprint(q.Count)
		case !same(p.Count, q.Count):
			return bucketText(p), fmt.Sprint(p.Count), fmt.Sprint(q.Count)
		}
		p, okA = filled(a)
		q, okB = filled(b)
	}
	return "", "", ""
}

func filled[N histogram.BucketCount](it histogram.BucketIterator[N]) (histogram.Bucket[N], bool) {
	for it.Next() {
		if b := it.At(); b.Count != 0 {
			return b, true
		}
	}
	return histogram.Bucket[N]{}, false
}

func bucketText[N histogram.BucketCount](b histogram.Bucket[N]) string {
	left, right := "(", ")"
	if b.LowerInclusive {
		left = "["
	}
	if b.UpperInclusive {
		right = "]"
	}
	return fmt.Sprintf("bucket %s%s, %s%s", left, floatText(b.Lower), floatText(b.Upper), right)
}
