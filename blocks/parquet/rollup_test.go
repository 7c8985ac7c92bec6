package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// window is a row of a file of rollups as another program sees it.
type window struct {
	Metric         string  `parquet:"metric"`
	Labels         string  `parquet:"labels"`
	Ts             int64   `parquet:"ts"`
	LastScale      int32   `parquet:"last_scale"`
	LastScaled     int64   `parquet:"last_scaled"`
	LastValue      float64 `parquet:"last_value"`
	IncreaseScale  int32   `parquet:"increase_scale"`
	IncreaseScaled int64   `parquet:"increase_scaled"`
	IncreaseValue  float64 `parquet:"increase_value"`
	MaxScale       int32   `parquet:"max_scale"`
	MaxScaled      int64   `parquet:"max_scaled"`
	MaxValue       float64 `parquet:"max_value"`
	MinScale       int32   `parquet:"min_scale"`
	MinScaled      int64   `parquet:"min_scaled"`
	MinValue       float64 `parquet:"min_value"`
	SumScale       int32   `parquet:"sum_scale"`
	SumScaled      int64   `parquet:"sum_scaled"`
	SumValue       float64 `parquet:"sum_value"`
	Count          int64   `parquet:"count"`
	Kind           int32   `parquet:"kind"`
	Start          int64   `parquet:"start"`
	Histogram      []byte  `parquet:"histogram"`
}

// numbers are the aggregates of the row as docs/sql.md says; NaN where there is none. before is last of the row before.
func (w *window) numbers(before float64) (v [model.Aggregates]float64) {
	number := func(scale int32, scaled int64, value, follows float64) float64 {
		switch scale {
		case scaleNone:
			return 0
		case scaleLast:
			return follows
		case scaleDouble:
			return value
		default:
			return float64(scaled) / math.Pow(10, float64(scale))
		}
	}
	last := number(w.LastScale, w.LastScaled, w.LastValue, math.NaN())
	v[model.Count], v[model.Last] = float64(w.Count), last
	v[model.Sum] = number(w.SumScale, w.SumScaled, w.SumValue, float64(w.Count)*last)
	v[model.Min] = number(w.MinScale, w.MinScaled, w.MinValue, math.NaN())
	v[model.Max] = number(w.MaxScale, w.MaxScaled, w.MaxValue, last)
	v[model.Increase] = number(w.IncreaseScale, w.IncreaseScaled, w.IncreaseValue, last-before)
	return v
}

type testRollup struct {
	labels labels.Labels
	c      model.Rollup
}

// windows are metrics of counters, gauges, constants, doubles and histograms.
func windows(metrics, series int, resolution int64) (in []testRollup) {
	r := rand.New(rand.NewSource(9))
	for m := range metrics {
		for s := range series {
			x := testRollup{labels: labels.FromStrings("__name__", fmt.Sprintf("metric_%02d", m), "host", fmt.Sprintf("%04d", s))}
			last := float64(r.Intn(1000))
			for at := day.Range().MinMs; at < day.Range().MaxMs; at = model.WindowEnd(at+1, resolution) {
				v := [model.Aggregates]float64{model.Count: float64(1 + r.Intn(20)), model.Last: last, model.Min: last, model.Max: last}
				var h []byte
				switch m % 5 {
				case 0:
					v[model.Last] += float64(r.Intn(100))
					v[model.Max], v[model.Increase], v[model.Sum] = v[model.Last], v[model.Last]-last, last*18+float64(r.Intn(1000))
				case 1:
					v[model.Last] = float64(r.Intn(10000)) / 100
					v[model.Min], v[model.Max], v[model.Sum] = v[model.Last]-0.25, v[model.Last]+1.5, v[model.Last]*19
					v[model.Increase] = float64(r.Intn(1000)) / 8
				case 2:
					v[model.Sum] = v[model.Count] * last
				case 3:
					for a := model.Sum; a < model.Aggregates; a++ {
						v[a] = r.NormFloat64()
					}
				case 4:
					if r.Intn(3) > 0 {
						v = [model.Aggregates]float64{model.Count: 7}
						h = nativeHistogram(at, uint64(r.Intn(100)))
					}
				}
				last = v[model.Last]
				x.c.Append(at, &v, h)
				if at == day.Range().MinMs+model.MsPerDay-resolution {
					break
				}
			}
			in = append(in, x)
		}
	}
	return in
}

func writeRollups(t testing.TB, in []testRollup) ([]byte, *Layout) {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, day, Rollups)
	defer w.Close()
	for i := range in {
		require.NoError(t, w.AddRollup(in[i].labels, &in[i].c))
	}
	l, footer, err := w.Finish()
	require.NoError(t, err)
	b.WriteString("what another room writes here")
	b.Write(footer)
	return b.Bytes(), l
}

// TestOtherReaderOfRollups reads files of rollups with parquet-go and compares them row by row.
func TestOtherReaderOfRollups(t *testing.T) {
	for _, c := range []struct {
		metrics, series int
		resolution      int64
	}{{10, 30, 300_000}, {1, 600, 300_000}, {4, 1, 3_600_000}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			in := windows(c.metrics, c.series, c.resolution)
			b, l := writeRollups(t, in)
			f, err := pq.OpenFile(bytes.NewReader(b), int64(len(b)))
			require.NoError(t, err)
			require.EqualValues(t, l.Samples, f.NumRows())
			require.Len(t, f.RowGroups(), len(l.RowGroups))
			rd := pq.NewGenericReader[window](f)
			defer rd.Close()
			rows := make([]window, l.Samples)
			n, err := rd.Read(rows)
			require.True(t, err == nil || errors.Is(err, io.EOF))
			require.EqualValues(t, l.Samples, n)
			scales := map[int32]int{}
			for i := range in {
				s, before := &in[i], math.NaN()
				text := string(appendLabels(nil, s.labels))
				for j, at := range s.c.T {
					x := &rows[0]
					rows = rows[1:]
					if x.Metric != s.labels.Get("__name__") || x.Labels != text || x.Ts != at {
						t.Fatalf("row %+v, want %s at %d", x, s.labels, at)
					}
					v := x.numbers(before)
					for a := range v {
						if math.Float64bits(s.c.V[a][j]) != math.Float64bits(v[a]) {
							t.Fatalf("%s of %s at %d is %v, want %v", model.Aggregate(a), s.labels, at, v[a], s.c.V[a][j])
						}
					}
					before = v[model.Last]
					if s.c.H != nil && s.c.H[j] != nil {
						require.EqualValues(t, kindHistogram, x.Kind)
						require.Equal(t, s.c.H[j], x.Histogram)
					} else if x.Kind != kindFloat {
						t.Fatalf("kind %d of %s at %d", x.Kind, s.labels, at)
					}
					scales[x.SumScale]++
					scales[x.MaxScale]++
				}
			}
			require.NotZero(t, scales[scaleLast])
		})
	}
}

// stripeOf returns a stripe of windows with numbers of every kind, and its pages by stored column.
func stripeOf(t testing.TB) (*Stripe, [][]byte) {
	z := page.NewEncoder()
	defer z.Close()
	g := newGroup(&coder{z: z}, Rollups)
	for _, x := range windows(5, 1, 3_600_000) {
		g.add(&x.c, 0, x.c.Len())
	}
	g.closeStripe()
	require.Len(t, g.stripes, 1)
	x := &g.stripes[0]
	s := &Stripe{Rows: x.rows, kind: Rollups, flags: x.flags, extras: true, pages: make([]PageRef, Rollups.stored())}
	pages := make([][]byte, Rollups.stored())
	for i := range pages {
		s.pages[i] = PageRef{Offset: int64(i), Length: int64(x.length[i])}
		pages[i] = g.chunks[colTs+i].pages[x.at[i] : x.at[i]+x.length[i]]
	}
	return s, pages
}

// encodingOf is that of the pages of a stored column of a stripe with extras.
func encodingOf(i int) encoding {
	if i == Rollups.core()+extraStart {
		return encDelta
	}
	if i == Rollups.core()+extraHistogram {
		return encPlain
	}
	return Rollups.columns()[colTs+i].enc
}

// FuzzRollupStripe decodes a stripe for each aggregate, with one page of any content under a right head and checksum.
func FuzzRollupStripe(f *testing.F) {
	s, pages := stripeOf(f)
	for i, b := range pages {
		raw, err := openPage(nil, b, encodingOf(i), s.Rows, 1<<20)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), raw, uint32(s.flags), true)
	}
	f.Fuzz(func(t *testing.T, column uint8, raw []byte, flags uint32, extras bool) {
		i := int(column) % len(pages)
		if len(raw) == 0 {
			return
		}
		x := *s
		x.flags, x.extras = stripeFlags(flags)&(1<<Rollups.flagBits()-1), extras
		forged := forgePage(encodingOf(i), x.Rows, raw)
		var r Rows
		for a := range model.Aggregates {
			var stored [][]byte
			for _, ref := range x.Needed(a) {
				if int(ref.Offset) == i {
					stored = append(stored, forged)
				} else {
					stored = append(stored, pages[ref.Offset])
				}
			}
			if bad, err := x.Decode(&r, a, stored); err != nil {
				if !errors.Is(err, model.ErrCorrupt) || bad < 0 || bad >= len(stored) {
					t.Fatal(bad, err)
				}
				continue
			}
			var c model.Columns
			r.Append(&c, 0, x.Rows)
			if len(c.T) > x.Rows || len(c.V) != len(c.T) || c.H != nil && len(c.H) != len(c.T) {
				t.Fatalf("%d, %d, %d of %d rows", len(c.T), len(c.V), len(c.H), x.Rows)
			}
			if v := r.AppendNumbers(nil, 0, x.Rows); len(v) != x.Rows {
				t.Fatalf("%d of %d rows", len(v), x.Rows)
			}
		}
	})
}

// FuzzLocateRollup puts any prefix and locators into a series page of rollups.
func FuzzLocateRollup(f *testing.F) {
	in := windows(2, 2, 3_600_000)
	b, l := writeRollups(f, in)
	raw, _, err := page.Decode(nil, b[l.SeriesPages.Offset:], page.Series)
	if err != nil {
		f.Fatal(err)
	}
	p, err := index.ParsePage(raw)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.Prefix, []byte{1, 5}, []byte{0})
	f.Add(p.Prefix, []byte{1, 5}, []byte{2, 1})
	f.Fuzz(func(t *testing.T, prefix, first, second []byte) {
		located(t, in[0].labels, in[1].labels, prefix, first, second, Rollups)
	})
}
