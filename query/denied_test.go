package query

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// TestReadersRights puts every kind of question to a bucket whose credentials may read objects and nothing else, so that it
// answers 403 for what is not there: the answers are those of one that may do everything.
func TestReadersRights(t *testing.T) {
	w := newWorld(t)
	// Days with and without data; some that the root does not know, in the middle and at the ends.
	for _, day := range []model.Day{day0, day0 + 1, day0 + 4, day0 + 70} {
		at := day.Range().MinMs + 1000
		w.flush("w1", uint64(day), day, data{}.add("cpu", at, 1).add("mem", at, 2))
	}
	_, err := w.bucket.Put(t.Context(), "w/w1/id", []byte("x"))
	require.NoError(t, err)
	w.register(catalog.Writer{ID: "w1", Mode: "fsync", Shipping: true})
	log := newShipper(w, "w1")
	log.add(testTenant, "recent", model.Sample{T: (day0 + 4).Range().MinMs + 5000, V: 3})
	log.rotate()
	log.add(testTenant, "recent", model.Sample{T: (day0 + 4).Range().MinMs + 6000, V: 4})
	log.ship()
	source := &fakeSource{writer: "w1", generations: map[uint64]data{1: data{}.add("recent", (day0+4).Range().MinMs+5000, 3)}}

	equal := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, n, v) }
	type answers struct {
		samples data
		values  []string
		err     error
	}
	selects := func(hints *storage.SelectHints, matchers ...*labels.Matcher) func(context.Context, *testing.T, storage.Querier) answers {
		return func(ctx context.Context, t *testing.T, q storage.Querier) answers {
			got := drain(t, q.Select(ctx, true, hints, matchers...))
			return answers{samples: got.data, values: got.names, err: got.err}
		}
	}
	names := func(matchers ...*labels.Matcher) func(context.Context, *testing.T, storage.Querier) answers {
		return func(ctx context.Context, _ *testing.T, q storage.Querier) answers {
			got, _, err := q.LabelNames(ctx, nil, matchers...)
			return answers{values: got, err: err}
		}
	}
	values := func(name string, matchers ...*labels.Matcher) func(context.Context, *testing.T, storage.Querier) answers {
		return func(ctx context.Context, _ *testing.T, q storage.Querier) answers {
			got, _, err := q.LabelValues(ctx, name, nil, matchers...)
			return answers{values: got, err: err}
		}
	}
	questions := map[string]func(context.Context, *testing.T, storage.Querier) answers{
		"a metric":                    selects(nil, equal(metricName, "cpu")),
		"no name":                     selects(nil, equal("job", "")),
		"no such metric":              selects(nil, equal(metricName, "zzz")),
		"a metric of the log":         selects(nil, equal(metricName, "recent")),
		"label names":                 names(),
		"label names, matcher":        names(equal(metricName, "mem")),
		"label values":                values(metricName),
		"label values, matcher":       values(metricName, equal(metricName, "mem")),
		"label values, no such label": values("nothing"),
	}
	ranges := map[string]model.TimeRange{
		"a day":            day0.Range(),
		"days":             {MinMs: (day0 - 2).Range().MinMs, MaxMs: (day0 + 6).Range().MaxMs},
		"days without any": {MinMs: (day0 + 10).Range().MinMs, MaxMs: (day0 + 15).Range().MaxMs},
		"months":           {MinMs: (day0 - 40).Range().MinMs, MaxMs: (day0 + 80).Range().MaxMs},
		"no bounds":        {MinMs: math.MinInt64, MaxMs: math.MaxInt64},
	}
	var refused []string
	deny := denyMissing(w)
	count := func(c faultblob.Call) faultblob.Action {
		if c.Op != faultblob.OpGet {
			refused = append(refused, c.Op+" "+c.Key)
		}
		return deny(c)
	}
	for _, attached := range []bool{true, false} {
		w.cfg.Detached, w.sources = !attached, nil
		if attached {
			w.sources = []model.Source{source}
		}
		for rangeName, r := range ranges {
			for name, ask := range questions {
				name := strings.Join([]string{map[bool]string{true: "attached", false: "detached"}[attached], rangeName, name}, ", ")
				t.Run(name, func(t *testing.T) {
					put := func(hook faultblob.Hook) answers {
						w.driver.SetHook(hook)
						querier, err := w.queryable().Querier(r.MinMs, r.MaxMs)
						require.NoError(t, err)
						defer querier.Close()
						return ask(w.ctx(), t, querier)
					}
					want := put(nil)
					require.NoError(t, want.err)
					require.Equal(t, want, put(count))
					require.Empty(t, refused)
				})
			}
		}
	}
}

// TestForbidden takes the right to read something that is there: no question is answered short of it.
func TestForbidden(t *testing.T) {
	for _, prefix := range []string{"w/roster", "w/w1/", "t/" + testTenant + "/root", "t/" + testTenant + "/c/", "t/", "d/", ""} {
		for _, detached := range []bool{true, false} {
			if prefix == "w/w1/" && detached {
				continue // a detached reader warns: TestDetached and its like
			}
			t.Run(prefix, func(t *testing.T) {
				w := newWorld(t)
				w.flush("w0", 1, day0, data{}.add("cpu", t0, 1))
				w.register(catalog.Writer{ID: "w1", Mode: "object", Shipping: true})
				log := newShipper(w, "w1")
				log.add(testTenant, "cpu", model.Sample{T: t0 + 1, V: 3})
				log.ship()
				_, err := w.bucket.Put(t.Context(), "w/w1/id", []byte("x"))
				require.NoError(t, err)
				w.cfg.Detached = detached
				deny := denyMissing(w)
				w.driver.SetHook(func(c faultblob.Call) faultblob.Action {
					if strings.HasPrefix(c.Key, prefix) {
						return faultblob.Action{Kind: faultblob.Fail, Err: blob.DeniedRead("403")}
					}
					return deny(c)
				})
				got := selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, everything)
				require.Error(t, got.err)
				require.ErrorContains(t, got.err, "permission denied")
				querier, err := w.queryable().Querier(t0, t0+1000)
				require.NoError(t, err)
				defer querier.Close()
				_, _, err = querier.LabelValues(w.ctx(), metricName, nil)
				require.ErrorContains(t, err, "permission denied")
			})
		}
	}
}
