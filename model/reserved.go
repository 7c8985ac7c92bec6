package model

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// ReservedLabel is the one label that no user has: stores refuse names with NUL from anybody but Varve itself. A series that has it is not a metric's but
// holds what is said beside samples, as opaque rows that pass through log, memtable, blocks and merges as native histograms do. It has no metric
// name, so that no selector of a metric meets it, and lies before all metrics of a block, apart from their samples. The value is what it holds, and the
// name of the metric:
//
//	e<metric>    exemplars of a series, whose other labels it has: rows of AppendExemplar
//	m<metric>    metadata of a metric, no other labels: rows of AppendMetadata
const ReservedLabel = "\x00varve"

const (
	metricName       = "__name__"
	reservedExemplar = "e"
	reservedMetadata = "m"
)

// Reserved reports whether a series is one of Varve's own, which is not for users to see. Cheap: labels are sorted, and it would be the first.
func Reserved(ls labels.Labels) bool { return ls.Get(ReservedLabel) != "" }

// IsRow reports whether the bytes of a HistogramSample are a row of a reserved series.
func IsRow(b []byte) bool {
	return len(b) > 1 && b[0] == startMark && (b[1] == rowExemplars || b[1] == rowMetadata)
}

// ReservedName reports whether a label is Varve's own.
func ReservedName(name string) bool { return name == ReservedLabel }

// ExemplarSeries adds the labels of the series that holds the exemplars of the series ls to b.
func ExemplarSeries(b *labels.ScratchBuilder, ls labels.Labels) {
	b.Add(ReservedLabel, reservedExemplar+ls.Get(metricName))
	ls.Range(func(l labels.Label) {
		if l.Name != metricName {
			b.Add(l.Name, l.Value)
		}
	})
}

// MetadataSeries returns the labels of the series that holds the metadata of a metric.
func MetadataSeries(metric string) labels.Labels {
	return labels.FromStrings(ReservedLabel, reservedMetadata+metric)
}

// ExemplarsOf returns the labels of the series whose exemplars a reserved series holds; false if it holds none.
func ExemplarsOf(reserved labels.Labels) (labels.Labels, bool) {
	metric, ok := strings.CutPrefix(reserved.Get(ReservedLabel), reservedExemplar)
	if !ok {
		return labels.EmptyLabels(), false
	}
	b := labels.NewBuilder(reserved)
	b.Del(ReservedLabel)
	b.Set(metricName, metric) // an empty one is none
	return b.Labels(), true
}

// MetadataOf returns the metric whose metadata a reserved series holds; false if it holds none.
func MetadataOf(reserved labels.Labels) (metric string, ok bool) {
	return strings.CutPrefix(reserved.Get(ReservedLabel), reservedMetadata)
}

// LabelOf returns the value of a label for whoever decides over samples by their labels, retention and deletion: exemplars
// go where their series' samples go. False is for metadata, over which nobody decides by labels.
func LabelOf(ls labels.Labels, name string) (value string, ok bool) {
	if name == metricName {
		if v := ls.Get(ReservedLabel); v != "" {
			return strings.CutPrefix(v, reservedExemplar)
		}
	}
	return ls.Get(name), true
}

// HideReserved returns matchers that match what ms match, reserved series excepted. Mostly those are ms: a selector that wants a metric
// name meets none.
func HideReserved(ms []*labels.Matcher) []*labels.Matcher {
	for _, m := range ms {
		if m.Name == metricName && !m.Matches("") {
			return ms
		}
	}
	return append(ms[:len(ms):len(ms)], hideReserved)
}

// hideReserved matches series without the label.
var hideReserved = labels.MustNewMatcher(labels.MatchEqual, ReservedLabel, "")

// SelectExemplars returns matchers of the series that hold the exemplars of the series that ms match.
func SelectExemplars(ms []*labels.Matcher) ([]*labels.Matcher, error) {
	out := make([]*labels.Matcher, 0, len(ms)+1)
	sure := false
	for _, m := range ms {
		if m.Name != metricName {
			out = append(out, m)
			continue
		}
		value := reservedExemplar + m.Value
		if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
			value = reservedExemplar + "(?:" + m.Value + ")"
		}
		x, err := labels.NewMatcher(m.Type, ReservedLabel, value)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
		sure = sure || m.Type == labels.MatchEqual || m.Type == labels.MatchRegexp
	}
	if !sure {
		out = append(out, anyExemplars)
	}
	return out, nil
}

// SelectMetadata returns the matchers of the metadata of a metric, or of all.
func SelectMetadata(metric string) []*labels.Matcher {
	if metric == "" {
		return []*labels.Matcher{anyMetadata}
	}
	return []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, ReservedLabel, reservedMetadata+metric)}
}

var (
	anyExemplars = labels.MustNewMatcher(labels.MatchRegexp, ReservedLabel, reservedExemplar+"(?s:.*)")
	anyMetadata  = labels.MustNewMatcher(labels.MatchRegexp, ReservedLabel, reservedMetadata+"(?s:.+)")
)
