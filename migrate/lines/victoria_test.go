package lines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// victoria reads lines with a format, and returns all samples and what was named.
func victoria(t *testing.T, format victoriaFormat, body []byte) (map[string]string, []migrate.Skip) {
	skips := migrate.NewSkips(false)
	s := newFiles(format, nil, skips, &FileOptions{TempDir: t.TempDir(), SortBytes: 1 << 20})
	s.begin()
	f := s.newFile("x", iotest.HalfReader(bytes.NewReader(body)), model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, func(labels.Labels) bool { return true })
	require.NoError(t, format.read(t.Context(), f))
	if err := s.sorter.Finish(); err != nil {
		require.ErrorIs(t, err, model.ErrInvalid)
		require.NoError(t, s.Close())
		return nil, skips.Named()
	}
	out := map[string]string{}
	for day := range s.sorter.Counts() {
		for series, err := range s.sorter.Series(t.Context(), day) {
			require.NoError(t, err)
			c := &model.Columns{}
			require.NoError(t, series.Samples(c, day.Range()))
			migratetest.Put(out, series.Labels(), c)
		}
	}
	require.NoError(t, s.Close())
	left, err := os.ReadDir(s.opts.TempDir)
	require.NoError(t, err)
	require.Empty(t, left)
	return out, skips.Named()
}

// TestLongLines: lines longer than what is held are read all the same, and one that is wrong takes no other with it.
func TestLongLines(t *testing.T) {
	var values, times []string
	for n := range 60_000 {
		values, times = append(values, fmt.Sprint(n%7)), append(times, fmt.Sprint(migratetest.FirstDay.Range().MinMs+int64(n)*1000))
	}
	v, at := strings.Join(values, ","), strings.Join(times, ",")
	var b strings.Builder
	fmt.Fprintf(&b, `{"metric":{"__name__":"short"},"values":[1],"timestamps":[1]}`+"\n")
	fmt.Fprintf(&b, `{"metric":{"__name__":"up","job":"a \" b"},"values":[%s],"timestamps":[%s]}`+"\n", v, at)
	fmt.Fprintf(&b, `{"metric":{"__name__":"up","job":"b"},"values":[%s],"timestamps":[%s`+"\n", v, at)
	fmt.Fprintf(&b, `{"metric":{"__name__":"short"},"values":[1],"timestamps":[2]}`+"\n")
	fmt.Fprintf(&b, `{"metric":{"__name__":"up","job":"c"},"values":[1,%s],"timestamps":[%s]}`+"\n", v, at)
	fmt.Fprintf(&b, ` { "timestamps" : [ %s ] , "x":{"]":[1,"}"]}, "values":[%s],"metric":{"__name__":"up","job":"d"}}`, at, v)
	got, skips := victoria(t, victoriaFormat{64 << 10}, []byte(b.String()))
	require.Len(t, got, 2+2*60_000)
	require.Len(t, skips, 2)
	require.Equal(t, []int64{3, 5}, []int64{skips[0].Line, skips[1].Line})
	want, skips := victoria(t, victoriaFormat{64 << 20}, []byte(b.String()))
	require.Len(t, skips, 2)
	migratetest.Same(t, want, got)
}

// TestLongLineFails: neither a file that breaks nor a disk that does is taken for a bad line, and nothing stays behind.
func TestLongLineFails(t *testing.T) {
	line := `{"metric":{"__name__":"up"},"values":[` + strings.Repeat("1,", 200_000) + `1],"timestamps":[`
	dir := t.TempDir()
	s := newFiles(victoriaFormat{1024}, nil, migrate.NewSkips(false), &FileOptions{TempDir: dir})
	s.begin()
	errDisk := errors.New("disk")
	f := s.newFile("x", iotest.DataErrReader(&failing{strings.NewReader(line), errDisk}), model.TimeRange{MaxMs: 1}, func(labels.Labels) bool { return true })
	require.ErrorIs(t, s.format.read(t.Context(), f), errDisk)
	s.opts.TempDir = filepath.Join(dir, "none")
	f = s.newFile("x", strings.NewReader(line), model.TimeRange{MaxMs: 1}, func(labels.Labels) bool { return true })
	require.ErrorIs(t, s.format.read(t.Context(), f), os.ErrNotExist)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// failing gives an error where its reader ends.
type failing struct {
	r   *strings.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.r.Len() == 0 {
		return 0, f.err
	}
	return f.r.Read(p)
}

// TestLongLineMemory: a line of a hundred MB takes the memory of none.
func TestLongLineMemory(t *testing.T) {
	const samples = 2_000_000
	s := newFiles(victoriaFormat{shortLine}, nil, migrate.NewSkips(true), &FileOptions{TempDir: t.TempDir()})
	s.begin()
	defer func() { require.NoError(t, s.Close()) }()
	line := &made{parts: []part{
		{`{"metric":{"__name__":"up"},"values":[1`, 1}, {`,0.125`, samples - 1}, {`],"timestamps":[1700000000000`, 1}, {`,1700000000000`, samples - 1}, {"]}\n", 1},
	}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f := s.newFile("x", line, model.TimeRange{MaxMs: 1}, func(labels.Labels) bool { return true }) // of which nothing is wanted
	require.NoError(t, s.format.read(t.Context(), f))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))
}

// made is text of parts that are repeated.
type made struct {
	parts []part
	at    int
}

type part struct {
	text  string
	times int
}

func (m *made) Read(p []byte) (n int, err error) {
	for n < len(p) && len(m.parts) > 0 {
		k := copy(p[n:], m.parts[0].text[m.at:])
		n, m.at = n+k, m.at+k
		if m.at == len(m.parts[0].text) {
			m.at = 0
			if m.parts[0].times--; m.parts[0].times == 0 {
				m.parts = m.parts[1:]
			}
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// FuzzVictoria: lines are read the same way whether they are held in memory or not, if they are JSON.
func FuzzVictoria(f *testing.F) {
	f.Add([]byte(`{"metric":{"__name__":"up","job":"a"},"values":[1,null,"Infinity",-0.5e3],"timestamps":[1700000000000,2,3,4]}`))
	f.Add([]byte("{\"metric\":{\"a\":\"\\u00e4\"},\"timestamps\":[1],\"values\":[1]}\n{}\n[]\n{\"values\":null,\"x\":[{\"}\":\"\\\"\"}]}"))
	f.Add([]byte(`{"metric":{"a":"b"},"values":[1,],"timestamps":[1]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzFormat(t, victoriaFormat{16}, body)
		for _, line := range bytes.Split(body, []byte{'\n'}) {
			if !json.Valid(line) || len(line) <= 16 || bytes.IndexByte(line, '\r') >= 0 {
				continue
			}
			short, badShort := victoria(t, victoriaFormat{1 << 20}, line)
			long, badLong := victoria(t, victoriaFormat{16}, line)
			require.Equal(t, short, long, "%q", line)
			require.Equal(t, len(badShort), len(badLong), "%q: %v %v", line, badShort, badLong)
		}
	})
}

func TestLongValue(t *testing.T) {
	for in, want := range map[string]float64{"1": 1, "-0.5e-3": -0.0005, `"Infinity"`: math.Inf(1), "-Inf": math.Inf(-1), "Infinity": math.Inf(1)} {
		v, err := longValue([]byte(in))
		require.NoError(t, err)
		require.Equal(t, want, math.Float64frombits(v))
	}
	for _, in := range []string{"", "01", "0x1", "1_0", "true", `"1"`, "{}", "1e999", "+1", `"null"`} {
		_, err := longValue([]byte(in))
		require.ErrorIs(t, err, model.ErrInvalid, "%q", in)
	}
}
