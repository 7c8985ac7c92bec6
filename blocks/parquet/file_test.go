package parquet

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

const day = model.Day(20000)

// row is a row of the file as another program sees it.
type row struct {
	Metric        string  `parquet:"metric"`
	Labels        string  `parquet:"labels"`
	Ts            int64   `parquet:"ts"`
	Scale         int32   `parquet:"scale"`
	Scaled        int64   `parquet:"scaled"`
	Value         float64 `parquet:"value"`
	Kind          int32   `parquet:"kind"`
	Start         int64   `parquet:"start"`
	Histogram     []byte  `parquet:"histogram"`
	Count         float64 `parquet:"count"`
	Sum           float64 `parquet:"sum"`
	Schema        int32   `parquet:"schema"`
	ZeroThreshold float64 `parquet:"zero_threshold"`
	ZeroCount     float64 `parquet:"zero_count"`
}

func (r *row) float() float64 {
	if r.Scale < 0 {
		return r.Value
	}
	return float64(r.Scaled) / math.Pow(10, float64(r.Scale))
}

type testSeries struct {
	labels labels.Labels
	c      model.Columns
}

func write(t testing.TB, in []testSeries) ([]byte, *Layout) {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, day, Samples)
	defer w.Close()
	for i := range in {
		require.NoError(t, w.Add(in[i].labels, &in[i].c))
	}
	l, footer, err := w.Finish()
	require.NoError(t, err)
	require.Equal(t, int64(b.Len()), l.Postings.Offset+l.Postings.Length)
	b.WriteString("what another room writes here")
	b.Write(footer)
	return b.Bytes(), l
}

func nativeHistogram(at int64, n uint64) []byte {
	h := prompb.FromIntHistogram(at, &histogram.Histogram{
		Schema: 3, Count: n, Sum: float64(n) / 3, ZeroThreshold: 0.001, ZeroCount: 2,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{1, 2},
	})
	b, err := h.Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

// mixed is a few metrics with samples of every kind over the whole day.
func mixed(metrics, series, samples int) []testSeries {
	r := rand.New(rand.NewSource(7))
	var in []testSeries
	for m := range metrics {
		for s := range series {
			x := testSeries{labels: labels.FromStrings("__name__", fmt.Sprintf("metric_%02d", m), "host", fmt.Sprintf("host \"%03d\"\n", s), "ü", "\xff")}
			v := float64(r.Intn(1000))
			for i := range samples {
				at := day.Range().MinMs + int64(i)*(model.MsPerDay/int64(samples)) + int64(r.Intn(20))
				switch {
				case m%4 == 0:
					v += float64(r.Intn(100))
				case m%4 == 1:
					v = math.Round(v*100+float64(r.Intn(21)-10)) / 100
				case m%4 == 2:
					v = r.NormFloat64()
				case i%7 == 6:
					v = math.Float64frombits(0x7ff0000000000002)
				case i%5 == 3:
					x.c.AppendHistogram(at, nativeHistogram(at, uint64(i)))
					continue
				case i%5 == 4:
					x.c.AppendHistogram(at, model.FloatWithStart(at-5000, float64(i)/8))
					continue
				default:
					v = float64(i)
				}
				x.c.Append(at, v)
			}
			in = append(in, x)
		}
	}
	return in
}

// TestOtherReader reads a file with parquet-go and compares it row by row.
func TestOtherReader(t *testing.T) {
	for _, c := range []struct{ metrics, series, samples int }{{8, 20, 300}, {2, 2, 50_000}, {1, 1, 1}, {3, 300, 60}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			in := mixed(c.metrics, c.series, c.samples)
			b, l := write(t, in)
			f, err := pq.OpenFile(bytes.NewReader(b), int64(len(b)))
			require.NoError(t, err)
			require.EqualValues(t, l.Samples, f.NumRows())
			require.Len(t, f.RowGroups(), len(l.RowGroups))
			wants := map[string]map[int64]int{}
			byKey := map[string]*testSeries{}
			for i := range in {
				s := &in[i]
				key := s.labels.Get("__name__") + string(appendLabels(nil, s.labels))
				byKey[key] = s
				wants[key] = map[int64]int{}
				for j, at := range s.c.T {
					wants[key][at] = j
				}
			}
			rd := pq.NewGenericReader[row](f)
			defer rd.Close()
			rows := make([]row, 1000)
			for {
				n, err := rd.Read(rows)
				for i := range rows[:n] {
					x := &rows[i]
					key := x.Metric + x.Labels
					j, ok := wants[key][x.Ts]
					if !ok {
						t.Fatalf("%s has no sample at %d, or two", key, x.Ts)
					}
					delete(wants[key], x.Ts)
					requireRow(t, &byKey[key].c, j, x)
				}
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
			}
			for key, left := range wants {
				require.Empty(t, left, key)
			}
		})
	}
}

func requireRow(t *testing.T, c *model.Columns, j int, x *row) {
	t.Helper()
	if c.H == nil || c.H[j] == nil {
		if x.Kind != kindFloat || math.Float64bits(c.V[j]) != math.Float64bits(x.float()) || x.Start != 0 || len(x.Histogram) != 0 {
			t.Fatalf("row %+v, sample %v", x, c.V[j])
		}
		return
	}
	start, v, h, err := model.SplitStart(c.H[j])
	require.NoError(t, err)
	require.Equal(t, start, x.Start)
	if h == nil {
		require.EqualValues(t, kindFloatStart, x.Kind)
		require.Equal(t, math.Float64bits(v), math.Float64bits(x.float()))
		return
	}
	require.EqualValues(t, kindHistogram, x.Kind)
	require.Equal(t, h, x.Histogram)
	var m prompb.Histogram
	require.NoError(t, m.Unmarshal(h))
	require.Equal(t, []float64{float64(m.GetCountInt()), m.Sum, 0.001, 2}, []float64{x.Count, x.Sum, x.ZeroThreshold, x.ZeroCount})
	require.EqualValues(t, 3, x.Schema)
}

// TestStatistics holds what readers prune with.
func TestStatistics(t *testing.T) {
	b, l := write(t, mixed(8, 20, 300))
	f, err := pq.OpenFile(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	for i, g := range f.Metadata().RowGroups {
		ts := g.Columns[colTs].MetaData.Statistics
		lo, hi := int64(binary.LittleEndian.Uint64(ts.MinValue)), int64(binary.LittleEndian.Uint64(ts.MaxValue))
		from := day.Range().MinMs + int64(l.RowGroups[i].Window)*WindowMs
		require.True(t, from <= lo && lo <= hi && hi < from+WindowMs)
		m := g.Columns[colMetric].MetaData.Statistics
		require.Equal(t, "metric_00", string(m.MinValue))
		require.Equal(t, "metric_07", string(m.MaxValue))
	}
}

func TestLabelsText(t *testing.T) {
	for _, ls := range []labels.Labels{
		labels.FromStrings("__name__", "m"),
		labels.FromStrings("__name__", "m", "a", "b", "c", "d\"e\\f\ng\x01h/"),
		labels.FromStrings("ä\u2028", "ö😀"),
	} {
		var got map[string]string
		text := appendLabels(nil, ls)
		require.NoError(t, json.Unmarshal(text, &got))
		want := ls.Map()
		delete(want, "__name__")
		require.Equal(t, want, got, "%s", text)
	}
	require.Equal(t, `{"a":"x\u000ay\ufffd"}`, string(bytes.ReplaceAll(appendLabels(nil, labels.FromStrings("a", "x\ny\xff")), []byte("\ufffd"), []byte(`\ufffd`))))
}
