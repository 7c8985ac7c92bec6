package text

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

const defaultMs = 5000

// all is what a body came to.
type all struct {
	samples   []string // series t value
	exemplars []string
	metadata  map[string]model.Metadata
	bad       []int
	err       error
}

func read(t *testing.T, body io.Reader, o Options) (a all) {
	t.Helper()
	o.DefaultMs = defaultMs
	r := NewReader(body, &o)
	a.metadata = map[string]model.Metadata{}
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			return a
		}
		if err != nil {
			a.err = err
			return a
		}
		n := 0
		for _, s := range c.Batch.Series {
			for _, x := range c.Batch.Samples[s.First : s.First+s.Count] {
				a.samples = append(a.samples, fmt.Sprintf("%s %d %x", decodeKey(t, s.Key), x.T, math.Float64bits(x.V)))
				n++
			}
		}
		require.Equal(t, n, c.Samples)
		for _, e := range c.Batch.Exemplars {
			list, err := model.DecodeExemplars(nil, e.T, e.Row)
			require.NoError(t, err)
			a.exemplars = append(a.exemplars, fmt.Sprintf("%s %d %v %s", decodeKey(t, e.Key), e.T, list[0].V, list[0].Labels))
		}
		for _, m := range c.Batch.Metadata {
			decoded, err := model.DecodeMetadata(m.Row)
			require.NoError(t, err)
			a.metadata[string(m.Metric)] = decoded
		}
		for _, b := range c.Bad {
			a.bad = append(a.bad, b.Number)
		}
	}
}

func decodeKey(t *testing.T, key []byte) string {
	t.Helper()
	b := labels.NewScratchBuilder(4)
	require.NoError(t, keys.Decode(key, &b))
	return b.Labels().String()
}

func sample(series string, at int64, v float64) string {
	return fmt.Sprintf("%s %d %x", series, at, math.Float64bits(v))
}

func TestTextFormat(t *testing.T) {
	body := "# HELP a What \\\\ is\\nsaid.\n# TYPE a counter\na{k=\"v\\\"\\\\\\n\"} 1.5\n\n# a comment\r\n" +
		"#TYPE odd gauge\n  odd { run = \"x\" , y = \"z\" }\t +Inf   -7\n\todd{run=\"x\",} 1e3 1700000000123\n" +
		"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n{\"a.b\",\"k.1\"=\"ü\"} NaN\nlast 9007199254740993"
	got := read(t, strings.NewReader(body), Options{})
	require.NoError(t, got.err)
	require.Equal(t, []int{7}, got.bad, "times before 1970 are none of the parser's")
	require.Equal(t, []string{
		sample(`{__name__="a", k="v\"\\\n"}`, defaultMs, 1.5),
		sample(`{__name__="odd", run="x"}`, 1700000000123, 1000),
		sample(`{__name__="h_bucket", le="1"}`, defaultMs, 1), sample(`{__name__="h_bucket", le="+Inf"}`, defaultMs, 2),
		sample(`{__name__="a.b", "k.1"="ü"}`, defaultMs, math.NaN()), sample(`{__name__="last"}`, defaultMs, 9007199254740993),
	}, got.samples)
	require.Equal(t, map[string]model.Metadata{
		"a": {Type: commonmodel.MetricTypeCounter, Help: "What \\ is\nsaid."}, "odd": {Type: commonmodel.MetricTypeGauge}, "h": {Type: commonmodel.MetricTypeHistogram},
	}, got.metadata)
}

func TestOpenMetrics(t *testing.T) {
	body := "# TYPE req_seconds histogram\n# UNIT req_seconds seconds\n# HELP req_seconds Time.\n" +
		"req_seconds_bucket{le=\"0.5\"} 3 1700000000.25 # {trace_id=\"abc\"} 0.4 1699999999.5\nreq_seconds_bucket{le=\"+Inf\"} 4 1700000000.25 # {} 7\n" +
		"\nx{a=\"b\"} 1 -3.5\nx_created 12.5\n# EOF\n"
	for _, end := range []string{"", "# EOF\n", "# EOF"} {
		got := read(t, strings.NewReader(strings.TrimSuffix(body, "# EOF\n")+end), Options{OpenMetrics: true})
		require.NoError(t, got.err)
		require.Empty(t, got.bad)
		require.Equal(t, []string{
			sample(`{__name__="req_seconds_bucket", le="0.5"}`, 1700000000250, 3), sample(`{__name__="req_seconds_bucket", le="+Inf"}`, 1700000000250, 4),
			sample(`{__name__="x", a="b"}`, -3500, 1), sample(`{__name__="x_created"}`, defaultMs, 12.5),
		}, got.samples)
		require.Equal(t, []string{
			`{__name__="req_seconds_bucket", le="0.5"} 1699999999500 0.4 {trace_id="abc"}`, `{__name__="req_seconds_bucket", le="+Inf"} 1700000000250 7 {}`,
		}, got.exemplars)
		require.Equal(t, map[string]model.Metadata{"req_seconds": {Type: commonmodel.MetricTypeHistogram, Unit: "seconds", Help: "Time."}}, got.metadata)
	}
	got := read(t, strings.NewReader("a 1\n# EOF\nb 2\n"), Options{OpenMetrics: true})
	require.Equal(t, []int{3}, got.bad)
	require.Len(t, got.samples, 1)
}

func TestBadLinesAreNamedAndTheOthersCount(t *testing.T) {
	for _, om := range []bool{false, true} {
		var body strings.Builder
		var bad []int
		good := 0
		rubbish := []string{"a{", "a b", "1", "{}", "a{b=c} 1", "a{b=\"c\"", "a 1 2 3", "\x00\xff", "a{b=\"\xff\"} 1", "a{b=\"1\",b=\"2\"} 1", "a 0x"}
		for i := range 60 {
			if i%3 == 1 {
				body.WriteString(rubbish[i/3%len(rubbish)] + "\n")
				bad = append(bad, i+1)
			} else {
				fmt.Fprintf(&body, "good{i=\"%d\"} %d\n", i, i)
				good++
			}
		}
		// In chunks so small that not more bad lines fall into one than are named.
		got := read(t, strings.NewReader(body.String()), Options{OpenMetrics: om, ChunkBytes: 128})
		require.NoError(t, got.err)
		require.Len(t, got.samples, good)
		require.Equal(t, bad, got.bad, "OpenMetrics %v", om)
	}
}

func TestChunksDoNotMatter(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var body bytes.Buffer
	for i := range 500 {
		fmt.Fprintf(&body, "# TYPE m_%d gauge\n# HELP m_%d help %d\nm_%d{l=\"%s\"} %v %d\n", i, i, i, i%100, strings.Repeat("x", rng.IntN(40)), rng.NormFloat64(), rng.Int64N(1e12))
	}
	want := read(t, bytes.NewReader(body.Bytes()), Options{})
	require.Len(t, want.samples, 500)
	for range 20 {
		o := Options{ChunkBytes: 100 + rng.IntN(2000)}
		o.SeriesBytes = rng.IntN(3) * 20_000
		require.Equal(t, want, read(t, iotest.HalfReader(bytes.NewReader(body.Bytes())), o), "chunks of %d, %d bytes of series", o.ChunkBytes, o.SeriesBytes)
	}
	require.Equal(t, want, read(t, iotest.OneByteReader(bytes.NewReader(body.Bytes())), Options{ChunkBytes: 300}))
}

func TestLinesWithoutEnd(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, om := range []bool{false, true} {
		got := read(t, strings.NewReader("a 1\n"+long+" 2\nb 3\n"+long+"\n\n"+long+" 4"), Options{ChunkBytes: 1000, PassLong: true, OpenMetrics: om})
		require.NoError(t, got.err)
		require.Equal(t, []int{2, 4, 6}, got.bad)
		require.Equal(t, []string{sample(`{__name__="a"}`, defaultMs, 1), sample(`{__name__="b"}`, defaultMs, 3)}, got.samples)
	}
	got := read(t, strings.NewReader("a 1\n"+long+" 2\n"), Options{ChunkBytes: 1000})
	require.ErrorIs(t, got.err, model.ErrInvalid)
	require.ErrorContains(t, got.err, "line 2 ")
	require.Len(t, got.samples, 1)
	got = read(t, iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("a 1\nb 2\n"))), Options{})
	require.ErrorIs(t, got.err, iotest.ErrTimeout)
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("# TYPE a counter\na{k=\"v\"} 1 2\n"), false)
	f.Add([]byte("a 1 # {x=\"y\"} 2 3\n# EOF\n"), true)
	f.Add([]byte("{\"a.b\",\"c\"=\"\\n\"} NaN"), false)
	f.Fuzz(func(t *testing.T, body []byte, om bool) {
		r := NewReader(bytes.NewReader(body), &Options{OpenMetrics: om, ChunkBytes: 64, PassLong: len(body)%2 == 0})
		lines := bytes.Count(body, []byte{'\n'}) + 1
		for n := 0; ; n++ {
			c, err := r.Next()
			if err != nil {
				return
			}
			if n > lines+len(body)/64 {
				t.Fatal("more chunks than lines and pieces of long ones")
			}
			for _, s := range c.Batch.Series {
				b := labels.NewScratchBuilder(4)
				if err := keys.Decode(s.Key, &b); err != nil {
					t.Fatalf("own key: %v", err)
				}
			}
			for _, bad := range c.Bad {
				if bad.Number < 1 || bad.Number > lines {
					t.Fatalf("line %d of %d", bad.Number, lines)
				}
			}
		}
	})
}

func FuzzLabelDecoder(f *testing.F) {
	f.Add(model.AppendPairs(nil, labels.FromStrings("__name__", "a", "k", "v")))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, key []byte) {
		b := labels.NewScratchBuilder(4)
		if err := keys.Decode(key, &b); err != nil && !errors.Is(err, model.ErrInvalid) {
			t.Fatal(err)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	var body bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&body, "http_requests_total{code=\"200\",handler=\"/api/v1/query\",instance=\"10.0.0.%d:9090\",job=\"prometheus\"} %d 1700000000000\n", i, i*17)
	}
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(bytes.NewReader(body.Bytes()), &Options{})
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
	b.ReportMetric(5000*float64(b.N)/b.Elapsed().Seconds(), "samples/s")
}

// TestBadLinesAreCheap: what a line that does not parse takes does not depend on how many lines follow it.
func TestBadLinesAreCheap(t *testing.T) {
	for _, openMetrics := range []bool{false, true} {
		took := func(lines int) float64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c, err := NewReader(strings.NewReader(strings.Repeat("a\n", lines)), &Options{OpenMetrics: openMetrics, ChunkBytes: 64 << 10}).Next()
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.Equal(t, lines, c.BadLines)
			return float64(after.TotalAlloc-before.TotalAlloc) / float64(lines)
		}
		few, many := took(1000), took(20_000)
		require.Less(t, many, 2*few, "OpenMetrics %v: bytes allocated for a bad line", openMetrics)
	}
}
