package influx

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

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

const defaultMs = 5000

// all is what a body came to.
type all struct {
	samples []string // series t value
	bad     []int
	texts   []Text
}

func read(t *testing.T, body io.Reader, o Options) (a all) {
	t.Helper()
	o.DefaultMs = defaultMs
	r := NewReader(body, &o)
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			a.texts = r.Texts()
			return a
		}
		require.NoError(t, err)
		require.Len(t, c.Batch.Samples, c.Samples)
		for _, s := range c.Batch.Series {
			x := c.Batch.Samples[s.First]
			a.samples = append(a.samples, fmt.Sprintf("%s %d %v", decodeKey(t, s.Key), x.T, x.V))
		}
		for _, b := range c.Bad {
			a.bad = append(a.bad, b.Number)
			require.ErrorIs(t, b.Err, model.ErrInvalid)
		}
	}
}

func decodeKey(t *testing.T, key []byte) string {
	t.Helper()
	b := labels.NewScratchBuilder(4)
	require.NoError(t, keys.Decode(key, &b))
	b.Sort()
	return b.Labels().String()
}

func mapping(change func(*Mapping)) *Mapping {
	m := DefaultMapping()
	change(&m)
	return &m
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		name, body string
		o          Options
		want       []string
		bad        []int
	}{
		{name: "kinds", body: `m,a=b f=1.5,i=-3i,u=18446744073709551615u,t=t,n=FALSE,e=1e3 1700000000123999999`, want: []string{
			`{__name__="m_f", a="b"} 1700000000123 1.5`, `{__name__="m_i", a="b"} 1700000000123 -3`, `{__name__="m_u", a="b"} 1700000000123 1.8446744073709552e+19`,
			`{__name__="m_t", a="b"} 1700000000123 1`, `{__name__="m_n", a="b"} 1700000000123 0`, `{__name__="m_e", a="b"} 1700000000123 1000`,
		}},
		{name: "escapes", body: `my\ m\,x,tag\ one=a\,b\=c\ d f\=1=2`, want: []string{`{__name__="my m,x_f=1", "tag one"="a,b=c d"} 5000 2`}},
		{name: "quotes in names of fields", body: `o"d,t=\" "a\"b=5,\"=6`, want: []string{`{__name__="o\"d_\"a\"b", t="\\\""} 5000 5`, `{__name__="o\"d_\"", t="\\\""} 5000 6`}},
		{name: "quotes in tags are none", body: "m,a=\"x f=1\nm,a=y\" f=2 1000000", want: []string{`{__name__="m_f", a="\"x"} 5000 1`, `{__name__="m_f", a="y\""} 1 2`}},
		{name: "strings over lines", body: "m s=\"a\nb \\\" # c,=\n\",f=1 1000000\nm f=2 2000000", want: []string{`{__name__="m_f"} 1 1`, `{__name__="m_f"} 2 2`}},
		{name: "before 1970", body: "m f=1 -1\nm f=1 -1000000\nm f=1 -1000001", want: []string{`{__name__="m_f"} -1 1`, `{__name__="m_f"} -1 1`, `{__name__="m_f"} -2 1`}},
		{name: "spaces and ends", body: "\r\n  m f=1 1000000\r\n\n# x\n \t# m f=9 1\nm f=2", want: []string{`{__name__="m_f"} 1 1`, `{__name__="m_f"} 5000 2`}},
		{
			name: "bad lines", bad: []int{1, 3, 4, 5, 6, 7, 9, 10, 11},
			body: "m\nm f=1 1\nm f= 1\nm f=1i2 1\nm f=1,g=x 1\nm,a f=1 1\nm f=9223372036854775808i 1\nm f=1 1000000\nm f=NaN\nm f=1 99999999999999999999\nm,\xff=1 f=1",
			want: []string{`{__name__="m_f"} 0 1`, `{__name__="m_f"} 1 1`},
		},
		{name: "an open string", body: "m f=1 1\nm s=\"x 1\nm f=2 1\nm f=3 1", bad: []int{2}, want: []string{`{__name__="m_f"} 0 1`, `{__name__="m_f"} 0 2`, `{__name__="m_f"} 0 3`}},
		{name: "seconds", body: "m f=1 -7\nm f=2 9223372036854775807", o: Options{Unit: time.Second}, bad: []int{2}, want: []string{`{__name__="m_f"} -7000 1`}},
		{name: "microseconds", body: "m f=1 -7", o: Options{Unit: time.Microsecond}, want: []string{`{__name__="m_f"} -1 1`}},
		{name: "separator", body: "m f=1", o: Options{Mapping: mapping(func(m *Mapping) { m.Separator = "." })}, want: []string{`{__name__="m.f"} 5000 1`}},
		{
			name: "single field", body: "m value=1\nm a=1,b=\"x\"", o: Options{Mapping: mapping(func(m *Mapping) { m.SkipSingleField = true })},
			want: []string{`{__name__="m"} 5000 1`, `{__name__="m_a"} 5000 1`},
		},
		{
			name: "no measurement", body: "m value=1", o: Options{Mapping: mapping(func(m *Mapping) { m.SkipMeasurement, m.SkipSingleField = true, true })},
			want: []string{`{__name__="value"} 5000 1`},
		},
		{
			name: "underscores", body: `1.ü-m:x,a.b=c.d,9=e f\ g=1`, o: Options{Mapping: mapping(func(m *Mapping) { m.Underscore = true })},
			want: []string{`{_9="e", __name__="_1___m:x_f_g", a_b="c.d"} 5000 1`},
		},
		{
			name: "database and tags of that name", body: "m f=1\nm,db=x,rp=y f=2", o: Options{Mapping: mapping(func(m *Mapping) { m.Database, m.Policy = "home", "year" })},
			want: []string{`{__name__="m_f", db="home", rp="year"} 5000 1`, `{__name__="m_f", db="x", rp="y"} 5000 2`},
		},
		{
			name: "no label for the database", body: "m f=1", o: Options{Mapping: mapping(func(m *Mapping) { m.Database, m.DatabaseLabel = "home", "" })},
			want: []string{`{__name__="m_f"} 5000 1`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := read(t, strings.NewReader(c.body), c.o)
			require.Equal(t, c.want, got.samples)
			require.Equal(t, c.bad, got.bad)
		})
	}
}

func TestExport(t *testing.T) {
	body := `# INFLUXDB EXPORT: 1677-09-21T00:12:43Z - 2262-04-11T23:47:16Z
# DDL
CREATE DATABASE "my db" WITH NAME autogen
CREATE DATABASE home WITH NAME year
# DML
# CONTEXT-DATABASE:"my db"
# CONTEXT-RETENTION-POLICY:autogen
# writing tsm data
m f=1 1000000
# CONTEXT-DATABASE:home
# CONTEXT-RETENTION-POLICY:year
# writing wal data
m f=2 1000000
`
	got := read(t, strings.NewReader(body), Options{})
	require.Empty(t, got.bad)
	require.Equal(t, []string{`{__name__="m_f", db="my db"} 1 1`, `{__name__="m_f", db="home", rp="year"} 1 2`}, got.samples)
	got = read(t, strings.NewReader(body), Options{Mapping: mapping(func(m *Mapping) { m.DatabaseLabel, m.DefaultPolicy = "", "year" })})
	require.Equal(t, []string{`{__name__="m_f", rp="autogen"} 1 1`, `{__name__="m_f"} 1 2`}, got.samples)
}

func TestTexts(t *testing.T) {
	got := read(t, strings.NewReader("a s=\"x\",f=1\na s=\"\"\nb t=\"y\"\nb t=\"bad"), Options{})
	require.Equal(t, []Text{{"a", "s", 2}, {"b", "t", 1}}, got.texts)
	var b strings.Builder
	for n := range maxTexts + 5 {
		fmt.Fprintf(&b, "m s%d=\"\"\n", n)
	}
	got = read(t, strings.NewReader(b.String()), Options{})
	require.Len(t, got.texts, maxTexts+1)
	require.Equal(t, Text{Values: 5}, got.texts[0])
}

// TestLongLines: what does not fit a chunk is named, and what is behind it is read.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, o := range []int{100, 999, 4096} {
		got := read(t, iotest.HalfReader(strings.NewReader("m f=1 1\n"+long+" f=1\nm f=2 1\nm s=\""+long+"\nm f=3 1\n\nm f=4 1\n"+long)), Options{ChunkBytes: o})
		require.Equal(t, []string{`{__name__="m_f"} 0 1`, `{__name__="m_f"} 0 2`, `{__name__="m_f"} 0 3`, `{__name__="m_f"} 0 4`}, got.samples, "chunks of %d", o)
		require.Equal(t, []int{2, 4, 8}, got.bad, "chunks of %d", o)
	}
}

func TestChunksDoNotMatter(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{"m,a=b f=1 %d\n", "m s=\"x\ny\",f=2 %d\n", "# c\n", "\n", "bad %d\n", "m f=1,g=2i,h=t %d\n", "# CONTEXT-RETENTION-POLICY:r%d\n", "m s=\"a\\\"\n\" %d\n"}
	var body bytes.Buffer
	for n := range 500 {
		p := pieces[rng.IntN(len(pieces))]
		if strings.Contains(p, "%d") {
			p = fmt.Sprintf(p, n)
		}
		body.WriteString(p)
	}
	want := read(t, bytes.NewReader(body.Bytes()), Options{})
	require.NotEmpty(t, want.samples)
	for range 20 {
		o := Options{ChunkBytes: 60 + rng.IntN(2000)}
		got := read(t, iotest.HalfReader(bytes.NewReader(body.Bytes())), o)
		require.Equal(t, want.samples, got.samples, "chunks of %d", o.ChunkBytes)
		require.Equal(t, want.texts, got.texts)
	}
	require.Equal(t, want.samples, read(t, iotest.OneByteReader(bytes.NewReader(body.Bytes())), Options{ChunkBytes: 100}).samples)
}

func TestReadFails(t *testing.T) {
	r := NewReader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("m f=1\n"))), nil)
	_, err := r.Next()
	require.ErrorIs(t, err, iotest.ErrTimeout)
}

// TestOpenStrings: strings each of which would have to be looked through to the end of the chunk do not take for ever.
func TestOpenStrings(t *testing.T) {
	const lines = 1 << 17
	for _, line := range []string{"m g=1\" f=\"\n", "m f=\"a\\\" \\\"\n"} {
		r := NewReader(strings.NewReader(strings.Repeat(line, lines)+"m f=1\n"), nil)
		bad, samples := 0, 0
		for {
			c, err := r.Next()
			if err != nil {
				break
			}
			bad, samples = bad+c.BadLines, samples+c.Samples
		}
		require.Greater(t, bad, lines/8)
		require.Equal(t, 1, samples)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("m,a=b f=1,g=2i,h=\"x\ny\" 1\n# CONTEXT-DATABASE:d\nm f=t"), true)
	f.Add([]byte("# DDL\nCREATE DATABASE x\n# DML\nm\\ x,a\\=b=c f=1u -1"), false)
	f.Add([]byte("m f=\"\\"), false)
	f.Fuzz(func(t *testing.T, body []byte, underscore bool) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := NewReader(bytes.NewReader(body), &Options{ChunkBytes: 256, Mapping: mapping(func(m *Mapping) { m.Underscore = underscore })})
		lines := bytes.Count(body, []byte{'\n'}) + 1
		for n := 0; ; n++ {
			c, err := r.Next()
			if err != nil {
				break
			}
			if n > lines+len(body)/256+1 {
				t.Fatal("more chunks than lines")
			}
			for _, s := range c.Batch.Series {
				b := labels.NewScratchBuilder(4)
				if err := keys.Decode(s.Key, &b); err != nil {
					t.Fatalf("own key: %v", err)
				}
				if v := c.Batch.Samples[s.First].V; math.IsNaN(v) || math.IsInf(v, 0) {
					t.Fatalf("value %v", v)
				}
			}
			for _, bad := range c.Bad {
				if bad.Number < 1 || bad.Number > lines {
					t.Fatalf("line %d of %d", bad.Number, lines)
				}
			}
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20+uint64(len(body))*2000 {
			t.Fatalf("%d bytes allocated for %d", used, len(body))
		}
	})
}

func FuzzLabelDecoder(f *testing.F) {
	f.Add(model.AppendText(model.AppendText(nil, "a"), "b"))
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
	for n := range 10_000 {
		fmt.Fprintf(&body, "cpu,host=server%d,region=eu-west usage_idle=%d.5,usage_user=%d,usage_system=0.25 %d\n", n%100, n%100, n, 1_700_000_000_000_000_000+int64(n)*1e9)
	}
	b.SetBytes(int64(body.Len()))
	samples := 0
	for b.Loop() {
		r := NewReader(bytes.NewReader(body.Bytes()), nil)
		for {
			c, err := r.Next()
			if err != nil {
				break
			}
			samples += c.Samples
		}
	}
	b.ReportMetric(float64(samples)/b.Elapsed().Seconds()/1e6, "Msamples/s")
}
