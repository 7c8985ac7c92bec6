package blocks_test

import (
	"bytes"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
)

// BenchmarkSelect finds series without decoding their samples, and label values; each time as if the block had never been seen.
func BenchmarkSelect(b *testing.B) {
	for d, in := range byDay(benchSeries(b)) {
		var out bytes.Buffer
		m, err := blocks.Build(b.Context(), &blocks.Params{Tenant: "t", Day: d, Writer: "w"}, each(in), &out)
		require.NoError(b, err)
		var sorted []labels.Labels
		for s := range each(in) {
			sorted = append(sorted, s.Labels)
		}
		middle := sorted[len(sorted)/2]
		eq := func(name string) *labels.Matcher {
			return labels.MustNewMatcher(labels.MatchEqual, name, middle.Get(name))
		}
		for _, c := range []struct {
			name string
			ms   []*labels.Matcher
		}{
			{"metric", []*labels.Matcher{eq("__name__")}},
			{"series", []*labels.Matcher{eq("__name__"), eq("instance")}},
			{"instance", []*labels.Matcher{eq("instance")}},
			{"regexp", []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "instance", ".*7.*")}},
			{"nothing", []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "job", "nobody's")}},
			{"all", nil},
		} {
			b.Run(d.String()+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				found := 0
				cpu := cpuSeconds()
				for b.Loop() {
					sel, err := blocks.Select(b.Context(), blocks.Bytes(out.Bytes()), m, &blocks.Query{Range: d.Range(), Matchers: c.ms, LabelsOnly: true})
					require.NoError(b, err)
					found = len(sel.Series)
					sel.Close()
				}
				b.ReportMetric(float64(found), "series")
				b.ReportMetric((cpuSeconds()-cpu)/float64(b.N)*1e6, "cpu-us")
			})
		}
		for _, name := range []string{"job", "__name__", "instance"} {
			b.Run(d.String()+"/values of "+name, func(b *testing.B) {
				b.ReportAllocs()
				cpu := cpuSeconds()
				for b.Loop() {
					_, err := blocks.LabelValues(b.Context(), blocks.Bytes(out.Bytes()), m, name, nil, nil)
					require.NoError(b, err)
				}
				b.ReportMetric((cpuSeconds()-cpu)/float64(b.N)*1e6, "cpu-us")
			})
		}
	}
}
