package index

import (
	"fmt"
	"sort"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/page"
)

// targets makes the series of n scraped targets with m metrics of some series each, as discovery labels them.
func targets(n, m int) []labels.Labels {
	var out []labels.Labels
	for i := range n {
		for j := range m {
			for k := range 1 + j%4 {
				out = append(out, labels.FromStrings("__name__", fmt.Sprintf("subsystem%d_thing_%02d_total", j%5, j),
					"cluster", fmt.Sprintf("c%d", i%4), "instance", fmt.Sprintf("10.0.%d.%d:9100", i>>8, i&255), "job", fmt.Sprintf("svc-%02d", i%20),
					"namespace", fmt.Sprintf("team-%d", i%7), "pod", fmt.Sprintf("svc-%02d-%08x", i%20, uint32(i)*2654435761), "mode", fmt.Sprintf("m%d", k)))
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return Less(out[i], out[j]) })
	return out
}

// BenchmarkScan parses and scans series pages of 500 series.
func BenchmarkScan(b *testing.B) {
	in := targets(200, 20)
	s := section(b, in, 500, 0)
	raws := pages(b, s.SeriesPages, page.Series)
	for _, c := range []struct {
		name     string
		matchers []*labels.Matcher
		labels   bool
	}{
		{"all", nil, true},
		{"metric", []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "subsystem2_thing_07_total")}, true},
		{"target", []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "instance", "10.0.0.77:9100")}, true},
		{"regexp", []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "pod", "svc-1.*-.*7")}, true},
		{"two", []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "subsystem2_thing_07_total"), labels.MustNewMatcher(labels.MatchRegexp, "job", "svc-1.*")}, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, raw := range raws {
					p, err := ParsePage(raw)
					require.NoError(b, err)
					require.NoError(b, p.Scan(c.matchers, func(_ int, e *Entry) error {
						_ = e.Labels()
						return nil
					}))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(in)), "ns/series")
		})
	}
	b.Run("build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			enc := page.NewEncoder()
			x := NewBuilder(enc)
			for i, ls := range in {
				require.NoError(b, x.Add(ls, []byte{1, 0}))
				if i%500 == 499 {
					x.Cut(nil, int64(i), 100)
				}
			}
			x.Cut(nil, int64(len(in)), 100)
			s, err := x.Finish(0)
			require.NoError(b, err)
			b.ReportMetric(float64(len(s.SeriesPages))/float64(len(in)), "pages-B/series")
			enc.Close()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(in)), "ns/series")
	})
}
