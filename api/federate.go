package api

import (
	"cmp"
	"mime"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varvedb/varve/model"
)

// FederatePath is where other Prometheus servers scrape what is here.
const FederatePath = "/federate"

// federate answers GET /federate with the last sample of each series that matches one of match[] and has one within the lookback, in a form that scrapers
// read. Native histograms go into the protobuf form alone, the others have no words for them; those with custom buckets are told as classic ones in each form.
// Staleness markers are not told. A series without the label instance has it told as empty, as Prometheus does: else a scraper that honours labels would give it
// that of this server.
func (h *handler) federate(w http.ResponseWriter, r *http.Request) {
	selectors, err := h.parser.ParseMetricSelectors(r.Form["match[]"])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	last, err := h.lastSamples(r, selectors)
	if err != nil {
		status, ok := overrideStatus(0, err)
		if !ok {
			status = http.StatusInternalServerError
		}
		http.Error(w, err.Error(), status)
		return
	}
	format := formatOf(r.Header)
	w.Header().Set("Content-Type", string(format))
	enc := expfmt.NewEncoder(w, format)
	for len(last) > 0 {
		name := last[0].Metric.Get(commonmodel.MetricNameLabel)
		n := 1
		for n < len(last) && last[n].Metric.Get(commonmodel.MetricNameLabel) == name {
			n++
		}
		for _, f := range families(name, last[:n], format.FormatType() != expfmt.TypeTextPlain) {
			if err := enc.Encode(f); err != nil {
				return // the client has gone
			}
		}
		last = last[n:]
	}
}

// formatOf is the form that the scraper likes best. How names are escaped that the old forms have no words for is said where any part of Accept says it: a Prometheus
// says so of forms that are not spoken here alone, and takes names as they are in all.
func formatOf(h http.Header) expfmt.Format {
	format := expfmt.NegotiateAccept(h, expfmt.NewFormat(expfmt.TypeProtoDelim), expfmt.NewFormat(expfmt.TypeProtoText), expfmt.NewFormat(expfmt.TypeProtoCompact), expfmt.NewFormat(expfmt.TypeTextPlain))
	said := ""
	for part := range strings.SplitSeq(h.Get("Accept"), ",") {
		_, params, err := mime.ParseMediaType(part)
		s := params[commonmodel.EscapingKey]
		if err != nil || s == "" {
			continue
		}
		if said != "" && s != said {
			return format // the part that was chosen decides
		}
		said = s
	}
	if scheme, err := commonmodel.ToEscapingScheme(said); err == nil {
		return format.WithEscapingScheme(scheme)
	}
	return format
}

// lastSamples are sorted by name. Series without one are left out, as no format knows them.
func (h *handler) lastSamples(r *http.Request, selectors [][]*labels.Matcher) (promql.Vector, error) {
	now := h.now()
	rng := model.TimeRange{MinMs: now.Add(-h.lookback).UnixMilli() + 1, MaxMs: now.UnixMilli()}
	q, err := h.queryable.Querier(rng.MinMs, rng.MaxMs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = q.Close() }()
	hold := h.memory.Open()
	defer hold.Close()
	sets := make([]storage.SeriesSet, 0, len(selectors))
	for _, matchers := range selectors {
		sets = append(sets, q.Select(r.Context(), true, &storage.SelectHints{Start: rng.MinMs, End: rng.MaxMs}, matchers...))
	}
	set := storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
	var last promql.Vector
	var it chunkenc.Iterator
	for set.Next() {
		s := set.At()
		it = s.Iterator(it)
		sample, ok, err := lastOf(it)
		if err != nil {
			return nil, err
		}
		if sample.Metric = s.Labels(); !ok || !sample.Metric.Has(commonmodel.MetricNameLabel) {
			continue
		}
		if err := hold.Take(128 + 2*int64(sample.Metric.ByteSize())); err != nil {
			return nil, err
		}
		last = append(last, sample)
	}
	slices.SortStableFunc(last, func(a, b promql.Sample) int {
		return cmp.Compare(a.Metric.Get(commonmodel.MetricNameLabel), b.Metric.Get(commonmodel.MetricNameLabel))
	})
	return last, set.Err()
}

// lastOf is the last sample, unless it is a staleness marker.
func lastOf(it chunkenc.Iterator) (s promql.Sample, ok bool, err error) {
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		ok = true
		if kind == chunkenc.ValFloat {
			s.T, s.F = it.At()
			s.H = nil
			continue
		}
		s.T, s.H = it.AtFloatHistogram(nil)
	}
	if s.H == nil && value.IsStaleNaN(s.F) || s.H != nil && value.IsStaleNaN(s.H.Sum) {
		ok = false
	}
	return s, ok, it.Err()
}

// families are those of a metric: its floats, and its native histograms by kind.
func families(name string, samples promql.Vector, histograms bool) []*dto.MetricFamily {
	byKind := map[dto.MetricType]*dto.MetricFamily{}
	var out []*dto.MetricFamily
	for _, s := range samples {
		kind := dto.MetricType_UNTYPED
		switch {
		case s.H != nil && !histograms && !s.H.UsesCustomBuckets():
			continue
		case s.H != nil && s.H.CounterResetHint == histogram.GaugeType:
			kind = dto.MetricType_GAUGE_HISTOGRAM
		case s.H != nil:
			kind = dto.MetricType_HISTOGRAM
		}
		f := byKind[kind]
		if f == nil {
			f = &dto.MetricFamily{Name: new(name), Type: kind.Enum()}
			byKind[kind], out = f, append(out, f)
		}
		m := &dto.Metric{TimestampMs: new(s.T)}
		s.Metric.Range(func(l labels.Label) {
			if l.Name != commonmodel.MetricNameLabel {
				m.Label = append(m.Label, &dto.LabelPair{Name: new(l.Name), Value: new(l.Value)})
			}
		})
		if !s.Metric.Has(commonmodel.InstanceLabel) {
			m.Label = append(m.Label, &dto.LabelPair{Name: new(commonmodel.InstanceLabel), Value: new("")})
		}
		if s.H != nil && s.H.UsesCustomBuckets() {
			m.Histogram = classic(s.H)
		} else if s.H != nil {
			m.Histogram = exposed(s.H)
		} else {
			m.Untyped = &dto.Untyped{Value: new(s.F)}
		}
		f.Metric = append(f.Metric, m)
	}
	return out
}

// exposed is a native histogram in the form of the exposition.
func exposed(h *histogram.FloatHistogram) *dto.Histogram {
	return &dto.Histogram{
		SampleCountFloat: new(h.Count), SampleSum: new(h.Sum), Schema: new(h.Schema), ZeroThreshold: new(h.ZeroThreshold), ZeroCountFloat: new(h.ZeroCount),
		PositiveSpan: spans(h.PositiveSpans), PositiveCount: h.PositiveBuckets, NegativeSpan: spans(h.NegativeSpans), NegativeCount: h.NegativeBuckets,
	}
}

// classic is a histogram with custom buckets in the form of the exposition: its buckets, each with all below it.
func classic(h *histogram.FloatHistogram) *dto.Histogram {
	out := &dto.Histogram{SampleCountFloat: new(h.Count), SampleSum: new(h.Sum)}
	it := h.PositiveBucketIterator()
	more, sum := it.Next(), 0.0
	for i, bound := range h.CustomValues {
		for more && int(it.At().Index) <= i {
			sum += it.At().Count
			more = it.Next()
		}
		out.Bucket = append(out.Bucket, &dto.Bucket{UpperBound: new(bound), CumulativeCountFloat: new(sum)})
	}
	return out
}

func spans(list []histogram.Span) (out []*dto.BucketSpan) {
	for _, s := range list {
		out = append(out, &dto.BucketSpan{Offset: new(s.Offset), Length: new(s.Length)})
	}
	return out
}
