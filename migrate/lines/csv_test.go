package lines

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

func columns(t *testing.T, s string) []CSVColumn {
	c, err := ParseCSVColumns(s)
	require.NoError(t, err)
	return c
}

// TestCSVCounts: a row that cannot be taken counts with all of its values, wherever in it the fault is.
func TestCSVCounts(t *testing.T) {
	at := migratetest.FirstDay.Range().MinMs
	text := fmt.Sprintf("x,2,3,%[1]d\n1,x,3,%[1]d\n1,,x,%[1]d\n1,2,3,x\n1,2\n1,2,3,%[1]d\n", at)
	skips := migrate.NewSkips(false)
	src := NewCSV([]string{write(t, "x.csv", text)}, CSVOptions{Columns: columns(t, "1:metric:a,2:metric:b,3:metric:c,4:time:unix_ms")}, skips, nil)
	r := migratetest.New(t).Backfill(migratetest.Small(), src, skips)
	require.NoError(t, src.Close())
	require.EqualValues(t, 3, r.Samples)
	var counts []int64
	for _, s := range skips.Named() {
		counts = append(counts, s.Samples)
	}
	require.Equal(t, []int64{3, 3, 2, 3, 2}, counts)
}

// TestCSV takes over rows by numbers and by names, some of them bad.
func TestCSV(t *testing.T) {
	at := migratetest.FirstDay.Range().MinMs
	day := time.UnixMilli(at).UTC()
	want := map[string]string{}
	put := func(name string, labelPairs []string, t int64, v float64) {
		sample(want, labels.FromStrings(append([]string{"__name__", name}, labelPairs...)...), t, v)
	}
	for _, c := range []struct {
		name, text string
		o          CSVOptions
		want       func()
		skipped    map[string]int64
		lines      []int64
	}{
		{
			name: "numbers", text: fmt.Sprintf("GOOG,1.23,4.56,%d\nMSFT,,2,%d.25\n", at/1000, at/1000),
			o: CSVOptions{Columns: columns(t, "2:metric:ask,3:metric:bid,1:label:ticker,4:time:unix_s"), Labels: []string{"source", "nyse"}},
			want: func() {
				put("ask", []string{"ticker", "GOOG", "source", "nyse"}, at, 1.23)
				put("bid", []string{"ticker", "GOOG", "source", "nyse"}, at, 4.56)
				put("bid", []string{"ticker", "MSFT", "source", "nyse"}, at+250, 2)
			}, skipped: map[string]int64{},
		},
		{
			name: "names", text: "\ufeffwhen;\"what; for\";v;source\n" + day.Format(time.RFC3339) + ";\"a \"\"b\"\"\nc\";1e3;\n" + day.Add(time.Hour).Format(time.RFC3339) + ";;NaN;own\n",
			o: CSVOptions{Columns: columns(t, "when:time:rfc3339,what; for:label:for,v:metric:m,source:label:source"), Delimiter: ';', Labels: []string{"source", "all"}},
			want: func() {
				put("m", []string{"for", "a \"b\"\nc", "source", "all"}, at, 1000)
				put("m", []string{"source", "own"}, at+3600_000, math.NaN())
			}, skipped: map[string]int64{},
		},
		{
			name: "long form", text: fmt.Sprintf("name,v,t\nup,1,%d\n,2,%d\n", at, at),
			o: CSVOptions{Columns: columns(t, "1:label:__name__,2:metric:value,3:time:unix_ms"), Header: true},
			want: func() {
				put("up", nil, at, 1)
				put("value", nil, at, 2)
			}, skipped: map[string]int64{},
		},
		{
			name: "bad rows", text: fmt.Sprintf("1,%d000000\nx,%d000000\n\n1,\"2\n3\"\n7\n5\",%d000000\n\xff,1\n2,%d999999\n\"open\n3,%d000000\n", at, at, at, at, at+1),
			o:    CSVOptions{Columns: columns(t, "1:metric:m,2:time:unix_ns")},
			want: func() { put("m", nil, at, 2); put("m", nil, at+1, 3) }, skipped: map[string]int64{"line": 6}, lines: []int64{2, 4, 6, 7, 8, 10},
		},
		{
			name: "custom time, foreign labels", text: day.Format("02.01.2006 15h04") + ",1,\xff\n" + day.Format("02.01.2006 15h04") + ",2,é\n",
			o:    CSVOptions{Columns: columns(t, "1:time:custom:02.01.2006 15h04,2:metric:m,3:label:a")},
			want: func() { put("m", []string{"a", "é"}, at, 2) }, skipped: map[string]int64{"series": 1}, lines: []int64{1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := migratetest.New(t)
			skips := migrate.NewSkips(false)
			src := NewCSV([]string{write(t, "x.csv.gz", c.text)}, c.o, skips, nil)
			defer func() { require.NoError(t, src.Close()) }()
			w.Backfill(migratetest.Small(), src, skips)
			want = map[string]string{}
			c.want()
			w.Complete(want, "%v", skips.Named())
			require.Equal(t, c.skipped, skips.Counts())
			var lines []int64
			for _, s := range skips.Named() {
				lines = append(lines, s.Line)
			}
			require.Equal(t, c.lines, lines, "%v", skips.Named())
		})
	}
}

func TestCSVColumns(t *testing.T) {
	for _, bad := range []string{
		"", "1", "1:metric:a", "1:time:unix_s", "1:time:unix_s,2:time:unix_s,3:metric:a", "0:metric:a,1:time:unix_s", "-1:metric:a,1:time:unix_s", "1:metric:,2:time:unix_s",
		"1:metrics:a,2:time:unix_s", "1:metric:a,2:time:", "1:metric:a,2:time:custom:", "1:metric:a,2:time:hours", "1:metric:a,2:time:unix_s,", ":metric:a,2:time:unix_s", "1:metric:\x00,2:time:unix_s",
	} {
		_, err := ParseCSVColumns(bad)
		require.ErrorIs(t, err, model.ErrInvalid, "%q", bad)
	}
	skips := migrate.NewSkips(false)
	src := NewCSV([]string{write(t, "x", "a,b\n1,2\n")}, CSVOptions{Columns: columns(t, "a:metric:a,c:time:unix_s")}, skips, nil)
	_, err := src.Days(t.Context(), model.TimeRange{MaxMs: 1}, func(labels.Labels) bool { return true })
	require.ErrorContains(t, err, `no column is named "c"`)
}

func TestCSVTimes(t *testing.T) {
	for _, c := range []struct {
		format, in string
		want       int64
		bad        bool
	}{
		{format: "unix_s", in: "1.5", want: 1500},
		{format: "unix_s", in: "1772323200.0010", want: 1772323200001},
		{format: "unix_s", in: "1.9999", want: 1999},
		{format: "unix_s", in: "-7", want: -7000},
		{format: "unix_s", in: "9223372036854775807", bad: true},
		{format: "unix_s", in: "1e30", bad: true},
		{format: "unix_s", in: "NaN", bad: true},
		{format: "unix_s", in: "", bad: true},
		{format: "unix_ms", in: "12", want: 12},
		{format: "unix_ms", in: "1.5", bad: true},
		{format: "unix_us", in: "1999", want: 1},
		{format: "unix_ns", in: "-1", want: -1},
		{format: "rfc3339", in: "1970-01-01T01:00:00.25+01:00", want: 250},
		{format: "custom:2006-01-02", in: "1970-01-02", want: model.MsPerDay},
		{format: "custom:2006-01-02", in: "x", bad: true},
	} {
		read, err := timeReader(c.format)
		require.NoError(t, err)
		got, err := read(c.in)
		require.Equal(t, c.bad, err != nil, "%s %q", c.format, c.in)
		if !c.bad {
			require.Equal(t, c.want, got, "%s %q", c.format, c.in)
		}
	}
}

// all reads all rows, in chunks of max bytes.
func allRows(in io.Reader, max int) (rows [][]string, bad []int64, err error) {
	c := newCSVRows(in, ',')
	c.max = max
	for {
		row, n, err := c.next()
		switch {
		case errors.Is(err, io.EOF):
			return rows, bad, nil
		case errors.Is(err, model.ErrInvalid):
			bad = append(bad, n)
		case err != nil:
			return rows, bad, err
		default:
			rows = append(rows, append([]string(nil), row...))
		}
	}
}

// TestCSVRows: what encoding/csv writes is read, whatever the size of what is read at a time.
func TestCSVRows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	alphabet := []string{"a", "\"", ",", "\n", "\n", " ", "ü", "\"\""}
	for range 200 {
		var want [][]string
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		for range 1 + rng.IntN(30) {
			row := []string{"x"}
			for range rng.IntN(4) {
				s := ""
				for range rng.IntN(5) {
					s += alphabet[rng.IntN(len(alphabet))]
				}
				row = append(row, s)
			}
			want = append(want, row)
			require.NoError(t, w.Write(row))
		}
		w.Flush()
		got, bad, err := allRows(iotest.HalfReader(bytes.NewReader(b.Bytes())), 128+rng.IntN(2000))
		require.NoError(t, err)
		require.Empty(t, bad)
		require.Equal(t, want, got)
	}
	long := strings.Repeat("y", 500)
	got, bad, err := allRows(strings.NewReader("a,1\n"+long+","+long+"\nb,2\n\""+long+"\nc,3\n"+long), 100)
	require.NoError(t, err)
	require.Equal(t, [][]string{{"a", "1"}, {"b", "2"}, {"c", "3"}}, got)
	require.Equal(t, []int64{2, 4, 6}, bad)
	_, _, err = allRows(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("a\nb"))), 100)
	require.ErrorIs(t, err, iotest.ErrTimeout)
	// Each of these quotes would have to be looked for to the end.
	rows, bad, err := allRows(strings.NewReader(strings.Repeat("a\",\"b\n", 1<<17)+"z,1\n"), maxCSVRow)
	require.NoError(t, err)
	require.NotEmpty(t, bad)
	require.Equal(t, []string{"z", "1"}, rows[len(rows)-1])
}

func FuzzCSV(f *testing.F) {
	f.Add("1:metric:a,2:time:unix_s,3:label:b", []byte("1,2,3\n\"4\",5,\"x\n\"\"y\"\n"))
	f.Add("a:metric:a,b:time:rfc3339", []byte("a,b\n1,2026-03-01T00:00:00Z\n"))
	f.Add("1:metric:a,2:time:custom:2006", []byte("\"\n\"\n\",\"\n1,2006"))
	f.Fuzz(func(t *testing.T, mapping string, body []byte) {
		o := CSVOptions{Columns: nil}
		var err error
		if o.Columns, err = ParseCSVColumns(mapping); err != nil {
			require.ErrorIs(t, err, model.ErrInvalid)
			return
		}
		if bytes.IndexByte(body, '"') < 0 && utf8Free(body) {
			rows, bad, err := allRows(bytes.NewReader(body), maxCSVRow)
			r := csv.NewReader(bytes.NewReader(body))
			r.FieldsPerRecord = -1
			want, err2 := r.ReadAll()
			if err == nil && err2 == nil && (len(bad) > 0 || len(want) != len(rows) && !reflect.DeepEqual(want, rows) && !bytes.ContainsAny(body, " \t\r\v\f")) {
				t.Fatalf("%q instead of %q, bad %v", rows, want, bad)
			}
		}
		fuzzFormat(t, NewCSV(nil, o, nil, nil).format, body)
	})
}

func utf8Free(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// fuzzFormat reads a body, which must end without another error than one of the body, name lines that are there, and allocate little.
func fuzzFormat(t *testing.T, format format, body []byte) {
	skips := migrate.NewSkips(false)
	s := newFiles(format, nil, skips, &FileOptions{TempDir: t.TempDir(), SortBytes: 1 << 20})
	s.begin()
	defer func() { require.NoError(t, s.Close()) }()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f := s.newFile("x", bytes.NewReader(body), model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, func(labels.Labels) bool { return true })
	if err := format.read(t.Context(), f); err != nil {
		require.ErrorIs(t, err, model.ErrInvalid)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20+uint64(len(body))*2000 {
		t.Fatalf("%d bytes allocated for %d", used, len(body))
	}
	for _, k := range skips.Named() {
		if k.Line < 0 || k.Line > int64(bytes.Count(body, []byte{'\n'})+1) {
			t.Fatalf("%v", k)
		}
	}
}
