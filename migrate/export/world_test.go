package export_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/export"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// history is a source in memory.
type history struct {
	series []*oneSeries
	err    error // in the middle, if not nil
}

type oneSeries struct {
	ls      labels.Labels
	columns model.Columns
}

func (s *oneSeries) Labels() labels.Labels { return s.ls }

func (s *oneSeries) Samples(dst *model.Columns, r model.TimeRange) error {
	for i, t := range s.columns.T {
		if r.Contains(t) {
			dst.AppendAt(&s.columns, i)
		}
	}
	return nil
}

func (h *history) Days(_ context.Context, r model.TimeRange, _ migrate.Want) ([]migrate.Extent, error) {
	days := map[model.Day]*migrate.Extent{}
	for _, s := range h.series {
		for _, t := range s.columns.T {
			if r.Contains(t) {
				d := model.DayOf(t)
				if days[d] == nil {
					days[d] = &migrate.Extent{Day: d, Fingerprint: "x"}
				}
				days[d].Samples++
			}
		}
	}
	return migrate.InOrder(days), nil
}

func (h *history) Series(_ context.Context, r model.TimeRange, want migrate.Want) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		for i, s := range h.series {
			if i == len(h.series)/2 && h.err != nil {
				yield(nil, h.err)
				return
			}
			if want(s.ls) && !yield(s, nil) {
				return
			}
		}
	}
}

func (h *history) Close() error { return nil }

func (h *history) add(ls labels.Labels) *model.Columns {
	s := &oneSeries{ls: ls}
	h.series = append(h.series, s)
	return &s.columns
}

func (h *history) sort() {
	slices.SortFunc(h.series, func(a, b *oneSeries) int {
		return index.Compare(a.ls, b.ls)
	})
}

// contents are all samples that keep lets pass, in a form that can be compared.
func (h *history) contents(keep func(ls labels.Labels, t int64, v float64, h []byte) bool) map[string]string {
	out := map[string]string{}
	for _, s := range h.series {
		c := &model.Columns{}
		for i, t := range s.columns.T {
			var b []byte
			if s.columns.H != nil {
				b = s.columns.H[i]
			}
			if keep(s.ls, t, s.columns.V[i], b) {
				c.AppendAt(&s.columns, i)
			}
		}
		migratetest.Put(out, s.ls, c)
	}
	return out
}

// floats makes some hundred samples of several days, with all that a float may be.
func floats(rng *rand.Rand, c *model.Columns, from, stepMs int64, n int) {
	t := from
	for range n {
		v := math.Round(rng.Float64()*1000) / 100
		switch rng.IntN(12) {
		case 0:
			v = math.Inf(1 - 2*rng.IntN(2))
		case 1:
			v = math.Float64frombits(value.NormalNaN)
		case 2:
			v = math.Copysign(0, -1)
		case 3:
			v = math.Float64frombits(rng.Uint64() &^ (1 << 62)) // finite
		}
		c.Append(t, v)
		t += stepMs + int64(rng.IntN(7))
	}
}

func marshal(t *testing.T, h *histogram.Histogram, at int64) []byte {
	p := prompb.FromIntHistogram(at, h)
	b, err := p.Marshal()
	require.NoError(t, err)
	return b
}

func marshalFloat(t *testing.T, h *histogram.FloatHistogram, at int64) []byte {
	p := prompb.FromFloatHistogram(at, h)
	b, err := p.Marshal()
	require.NoError(t, err)
	return b
}

var start = migratetest.FirstDay.Range().MinMs

// newHistory is three days of series of all kinds. Names with capitals sort before that of the metric in blocks of Prometheus.
func newHistory(t *testing.T) *history {
	rng := migratetest.Rand(t)
	h := &history{}
	for m := range 4 {
		for i := range 5 {
			c := h.add(labels.FromStrings("__name__", fmt.Sprintf("m%d", m), "Zone", fmt.Sprint(4-i), "job", "a\"\\\n\x00b"))
			floats(rng, c, start+int64(rng.IntN(1000)), 400_000, 500)
		}
	}
	floats(rng, h.add(labels.FromStrings("__name__", "plain")), start+5_000_000, 1000, 300)
	floats(rng, h.add(labels.FromStrings("__name__", "with.dots", "la.bel", "ü")), start+5_000_000, 100_000, 30)
	floats(rng, h.add(labels.FromStrings("job", "no name")), start+5_000_000, 100_000, 30)
	stale := h.add(labels.FromStrings("__name__", "stale", "a", "1"))
	for i := range int64(50) {
		v := float64(i)
		if i%10 == 9 {
			v = math.Float64frombits(value.StaleNaN)
		}
		stale.Append(start+i*60_000, v)
	}
	started := h.add(labels.FromStrings("__name__", "started_total"))
	for i := range int64(20) {
		started.AppendHistogram(start+i*60_000, model.FloatWithStart(start-1000, float64(i)))
	}
	whole := h.add(labels.FromStrings("__name__", "native", "k", "whole"))
	fl := h.add(labels.FromStrings("__name__", "native", "k", "float"))
	gauge := h.add(labels.FromStrings("__name__", "native", "k", "gauge"))
	mixed := h.add(labels.FromStrings("__name__", "native", "k", "mixed"))
	for i := range int64(300) {
		at := start + i*600_000
		n := i % 130 // counters are reset now and then
		whole.AppendHistogram(at, marshal(t, tsdbutil.GenerateTestHistogram(n), at))
		fl.AppendHistogram(at, marshalFloat(t, tsdbutil.GenerateTestFloatHistogram(n), at))
		gauge.AppendHistogram(at, marshal(t, tsdbutil.GenerateTestGaugeHistogram(n), at))
		if i%7 < 3 {
			mixed.Append(at, float64(i))
		} else {
			mixed.AppendHistogram(at, marshal(t, tsdbutil.GenerateTestCustomBucketsHistogram(n), at))
		}
	}
	h.sort()
	return h
}

// world is an export's surroundings.
type world struct {
	t     *testing.T
	h     *history
	cfg   migrate.Config
	c     export.Components
	out   bytes.Buffer
	skips *migrate.Skips
}

func newExportWorld(t *testing.T, h *history) *world {
	w := &world{t: t, h: h, cfg: migrate.Config{Tenant: "t"}, skips: migrate.NewSkips(true)}
	now := start + 100*model.MsPerDay
	w.c = export.Components{
		FS: vfs.OS{}, Stdout: &w.out, Rand: rand.NewChaCha8([32]byte{1}),
		Now: func() time.Time { now++; return time.UnixMilli(now) },
	}
	return w
}

func (w *world) selection() *migrate.Selection {
	sel, err := migrate.Select(&w.cfg, w.c.Now, w.h, w.skips)
	require.NoError(w.t, err)
	return sel
}

func (w *world) run(cfg *export.Config) (*export.Report, error) {
	cfg.TempDir = w.t.TempDir()
	return export.Run(context.Background(), cfg, w.c, w.selection(), w.skips)
}

func (w *world) must(cfg *export.Config) *export.Report {
	w.t.Helper()
	r, err := w.run(cfg)
	require.NoError(w.t, err)
	return r
}

// back is what our importer makes of an export.
func back(t *testing.T, open func(*migrate.Skips) migrate.Source, skips *migrate.Skips) map[string]string {
	there := migratetest.New(t)
	there.NowMs = start + 200*model.MsPerDay
	cfg := migratetest.Small()
	cfg.PartSamples, cfg.PartSeries = 0, 0
	src := open(skips)
	there.Backfill(cfg, src, skips)
	require.NoError(t, src.Close())
	got, _, _ := there.Read()
	for k := range got {
		if strings.HasPrefix(k, `{"\x00varve"`) { // metadata
			delete(got, k)
		}
	}
	return got
}
