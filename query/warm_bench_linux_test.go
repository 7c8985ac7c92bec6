package query

import (
	"cmp"
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// BenchmarkWarm asks the same again and again, for the samples and for the series only: an hour of 20,000 series in one block, and a
// week of 300 in 84. It reads through no cache (the bucket is in memory), ranges in memory, these and what was parsed, and local copies.
func BenchmarkWarm(b *testing.B) {
	for _, shape := range []struct {
		name            string
		targets, blocks int
		ms              int64
	}{{"hour", 20_000, 1, 3_600_000}, {"week", 300, 84, 7 * model.MsPerDay}} {
		w := newWorld(b)
		w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
		w.setState("w1", catalog.Clean)
		for i := range int64(shape.blocks) {
			w.flushTargets(uint64(i+1), day0+model.Day(i/12), t0+i*7_200_000, shape.targets)
		}
		for _, hint := range []string{"", FuncSeries} {
			for _, c := range []struct {
				name   string
				memory int64
				parsed bool
				dir    bool
			}{{"bucket", 0, false, false}, {"memory", 256 << 20, false, false}, {"parsed", 256 << 20, true, false}, {"copies", 0, false, true}} {
				b.Run(cmp.Or(hint, "samples")+"/"+shape.name+"/"+c.name, func(b *testing.B) {
					dir := ""
					if c.dir {
						dir = b.TempDir()
					}
					q := w.warm(c.memory, dir, nil, c.parsed)
					defer q.close()
					for n := 0; n == 0 || c.dir && len(copiesIn(b, dir)) < shape.blocks; n++ {
						askTargets(b, w, q, shape.ms, shape.targets, hint)
						q.bytes.Drain(context.Background())
					}
					b.ReportAllocs()
					before := cpuTime()
					for b.Loop() {
						askTargets(b, w, q, shape.ms, shape.targets, hint)
					}
					b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e6, "cpu-ms/op")
				})
			}
		}
	}
}

// askTargets selects one metric and decodes it.
func askTargets(b *testing.B, w *world, q *warmed, ms int64, want int, hint string) {
	matchers := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, metricName, "cpu"), labels.MustNewMatcher(labels.MatchRegexp, "job", "job-.*")}
	querier, err := q.Querier(t0, t0+ms)
	require.NoError(b, err)
	defer querier.Close()
	set := querier.Select(w.ctx(), true, &storage.SelectHints{Start: t0, End: t0 + ms, Func: hint}, matchers...)
	n := 0
	var c model.Columns
	for ; set.Next(); n++ {
		s := set.At().(*series)
		c.Reset()
		for _, p := range s.parts {
			if hint == "" {
				require.NoError(b, p.Samples(&c, s.r))
			}
		}
	}
	require.NoError(b, set.Err())
	require.Equal(b, want, n)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
