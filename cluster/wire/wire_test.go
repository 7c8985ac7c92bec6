package wire

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

var update = flag.Bool("update", false, "rewrite golden files")

// fakeSource answers with fixed series and remembers what it was asked.
type fakeSource struct {
	writer   string
	series   []model.Series
	warnings []string
	err      error
	released int

	tenant   string
	within   model.TimeRange
	matchers []*labels.Matcher
}

func (s *fakeSource) Writer() string { return s.writer }

func (s *fakeSource) Select(_ context.Context, tenant string, r model.TimeRange, ms []*labels.Matcher) (*model.Selection, error) {
	s.tenant, s.within, s.matchers = tenant, r, ms
	if s.err != nil {
		return nil, s.err
	}
	return &model.Selection{Series: s.series, Warnings: s.warnings, Release: func() { s.released++ }}, nil
}

// badSeries fails when it is decoded.
type badSeries struct{}

func (badSeries) Labels() labels.Labels { return labels.FromStrings("__name__", "zzz") }
func (badSeries) Samples(*model.Columns, model.TimeRange) error {
	return fmt.Errorf("chunk at 7: %w", model.ErrCorrupt)
}

func testSeries() []model.Series {
	plain := &series{labels: labels.FromStrings("__name__", "a", "job", "x")}
	plain.columns.Append(model.MinTimeMs, math.Float64frombits(0x7ff0000000000002))
	plain.columns.Append(0, math.Copysign(0, -1))
	plain.columns.Append(model.MaxTimeMs, math.Inf(1))
	mixed := &series{labels: labels.FromStrings("__name__", "b", "le", "\x00ü")}
	mixed.columns.Append(1, 1)
	mixed.columns.AppendHistogram(2, []byte("histogram"))
	mixed.columns.AppendHistogram(3, []byte{})
	mixed.columns.Append(4, 4)
	return []model.Series{plain, mixed}
}

func connect(t *testing.T, s model.Source, writer string) *Client {
	srv := httptest.NewServer(NewHandler(s, nil))
	t.Cleanup(srv.Close)
	c, err := NewClient(writer, strings.TrimPrefix(srv.URL, "http://"), &ClientOptions{HTTP: srv.Client()})
	require.NoError(t, err)
	return c
}

var everything = model.TimeRange{MinMs: math.MinInt64, MaxMs: math.MaxInt64}

func TestRoundTrip(t *testing.T) {
	src := &fakeSource{writer: "w1", series: testSeries(), warnings: []string{"careful", "slow"}}
	c := connect(t, src, "w1")
	matchers := []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "a\x00"), labels.MustNewMatcher(labels.MatchNotEqual, "b", ""),
		labels.MustNewMatcher(labels.MatchRegexp, "c", "x|y"), labels.MustNewMatcher(labels.MatchNotRegexp, "d", "z.*"),
	}
	got, err := c.Select(t.Context(), "team-1", everything, matchers)
	require.NoError(t, err)
	require.Equal(t, "team-1", src.tenant)
	require.Equal(t, everything, src.within)
	require.Len(t, src.matchers, 4)
	for i, m := range src.matchers {
		require.Equal(t, matchers[i].String(), m.String())
	}
	require.Equal(t, []string{"careful", "slow"}, got.Warnings)
	require.Equal(t, 1, src.released)
	requireSame(t, src.series, got.Series)

	var part model.Columns
	require.NoError(t, got.Series[1].Samples(&part, model.TimeRange{MinMs: 2, MaxMs: 3}))
	require.Equal(t, []int64{2, 3}, part.T)
	got.Close()
}

func requireSame(t *testing.T, want, got []model.Series) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i].Labels(), got[i].Labels())
		var a, b model.Columns
		require.NoError(t, want[i].Samples(&a, everything))
		require.NoError(t, got[i].Samples(&b, everything))
		require.Equal(t, a.T, b.T)
		require.Equal(t, len(a.V), len(b.V))
		for j := range a.V {
			require.Equal(t, math.Float64bits(a.V[j]), math.Float64bits(b.V[j]))
		}
		require.Equal(t, a.H, b.H)
	}
}

func TestManyAndLongSeries(t *testing.T) {
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, seed))
	src := &fakeSource{writer: "w1"}
	for i := range 300 {
		s := &series{labels: labels.FromStrings("__name__", fmt.Sprintf("m%04d", i))}
		n := 1 + rnd.IntN(50)
		if i%100 == 0 {
			n = 3*pieceSamples + 1
		}
		for j := range n {
			if i == 200 && j > pieceSamples && j%1000 == 0 {
				s.columns.AppendHistogram(int64(j), bytes.Repeat([]byte{1}, pieceBytes/3))
			} else {
				s.columns.Append(int64(j)*15_000+int64(rnd.IntN(100)), rnd.NormFloat64())
			}
		}
		if i == 200 {
			for j := range s.columns.T {
				s.columns.T[j] = int64(j)
			}
		}
		src.series = append(src.series, s)
	}
	got, err := connect(t, src, "w1").Select(t.Context(), "default", everything, nil)
	require.NoError(t, err, "seed %d", seed)
	requireSame(t, src.series, got.Series)
}

func TestErrorsKeepTheirKind(t *testing.T) {
	for _, kind := range []error{model.ErrInvalid, model.ErrLimit, model.ErrUnavailable} {
		src := &fakeSource{writer: "w1", err: fmt.Errorf("no luck: %w", kind)}
		_, err := connect(t, src, "w1").Select(t.Context(), "default", everything, nil)
		require.ErrorIs(t, err, kind)
		require.ErrorContains(t, err, "no luck")
	}
	src := &fakeSource{writer: "w1", series: append(testSeries(), badSeries{})}
	_, err := connect(t, src, "w1").Select(t.Context(), "default", everything, nil)
	require.ErrorIs(t, err, model.ErrCorrupt, "an error after the first byte")
	require.ErrorContains(t, err, "chunk at 7")
	require.Equal(t, 1, src.released)
}

func TestAnotherWriterAnswers(t *testing.T) {
	_, err := connect(t, &fakeSource{writer: "w2", series: testSeries()}, "w1").Select(t.Context(), "default", everything, nil)
	require.ErrorIs(t, err, model.ErrUnavailable)
	require.ErrorContains(t, err, `answers for writer "w2"`)
}

func TestUnreachable(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	ask := func(address string) error {
		c, err := NewClient("w1", address, nil)
		require.NoError(t, err)
		_, err = c.Select(t.Context(), "default", everything, nil)
		return err
	}
	require.ErrorIs(t, ask(srv.URL), model.ErrUnavailable, "some other server")
	srv.Close()
	require.ErrorIs(t, ask(srv.URL), model.ErrUnavailable, "nobody there")

	stuck := make(chan struct{})
	srv = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	defer srv.Close()
	defer close(stuck)
	c, err := NewClient("w1", srv.URL, &ClientOptions{Timeout: 20 * time.Millisecond})
	require.NoError(t, err)
	_, err = c.Select(t.Context(), "default", everything, nil)
	require.ErrorIs(t, err, model.ErrUnavailable, "no answer in time")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	for _, address := range []string{"", "://", "ftp://x", "a b"} {
		_, err := NewClient("w1", address, nil)
		require.ErrorIs(t, err, model.ErrInvalid, address)
	}
}

func TestRequestRubbish(t *testing.T) {
	h := NewHandler(&fakeSource{writer: "w1"}, &HandlerOptions{CheckTenant: func(n string) error {
		if strings.Contains(n, "..") {
			return fmt.Errorf("tenant: %w", model.ErrInvalid)
		}
		return nil
	}})
	for name, body := range map[string]string{
		"empty":           "",
		"bytes":           "\x00\xff\x80",
		"unknown field":   `{"version":1,"tenant":"a","wat":1}`,
		"other version":   `{"version":2,"tenant":"a"}`,
		"bad tenant":      `{"version":1,"tenant":"../.."}`,
		"bad type":        `{"version":1,"tenant":"a","matchers":[{"type":"~","name":"a","value":"b"}]}`,
		"bad regexp":      `{"version":1,"tenant":"a","matchers":[{"type":"=~","name":"a","value":"("}]}`,
		"too large":       `{"version":1,"tenant":"` + strings.Repeat("a", maxRequestBytes) + `"}`,
		"too many":        `{"version":1,"tenant":"a","matchers":[` + strings.Repeat(`{},`, maxMatchers) + `{}]}`,
		"not even object": `[1,2]`,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body)))
		require.Equal(t, http.StatusBadRequest, w.Code, name)
		require.Greater(t, w.Body.Len(), 10, name)
	}
}

func encoded(t testing.TB, ss []model.Series) []byte {
	var out bytes.Buffer
	e := newEncoder(&out, "w1")
	require.NoError(t, e.frame(frameWarning, "careful"))
	for _, s := range ss {
		var c model.Columns
		require.NoError(t, s.Samples(&c, everything))
		require.NoError(t, e.series(s.Labels(), &c))
	}
	require.NoError(t, e.end(len(ss)))
	return out.Bytes()
}

func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "select-v1.bin")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, encoded(t, testSeries()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, encoded(t, testSeries()))
	a, err := decodeAnswer(bytes.NewReader(want), 1<<20)
	require.NoError(t, err)
	got := make([]model.Series, len(a.series))
	for i, s := range a.series {
		got[i] = s
	}
	requireSame(t, testSeries(), got)
}

func TestEveryCutAndFlipIsNoticed(t *testing.T) {
	good := encoded(t, testSeries())
	for n := range good {
		_, err := decodeAnswer(bytes.NewReader(good[:n]), 1<<20)
		require.ErrorIs(t, err, model.ErrUnavailable, "cut at %d", n)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		_, err := decodeAnswer(bytes.NewReader(bad), 1<<20)
		require.Error(t, err, "flip at %d", i)
	}
	next := bytes.Clone(good)
	next[4] = version + 1
	_, err := decodeAnswer(bytes.NewReader(next), 1<<20)
	require.ErrorIs(t, err, model.ErrVersion)
	_, err = decodeAnswer(bytes.NewReader(good), 40)
	require.ErrorIs(t, err, model.ErrLimit)
}

func TestSeriesMustBeSorted(t *testing.T) {
	ss := testSeries()
	_, err := decodeAnswer(bytes.NewReader(encoded(t, []model.Series{ss[1], ss[0]})), 1<<20)
	require.ErrorIs(t, err, model.ErrCorrupt)
	_, err = decodeAnswer(bytes.NewReader(encoded(t, []model.Series{ss[0], ss[0]})), 1<<20)
	require.ErrorIs(t, err, model.ErrCorrupt)
}

// FuzzAnswer feeds payloads as whole frames (so that the checksum is no shield): no panic, and what is kept stays within the limit.
func FuzzAnswer(f *testing.F) {
	good := encoded(f, testSeries())
	f.Add(good[5:])
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, frameEnd})
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = decodeAnswer(bytes.NewReader(append([]byte(magic+"\x01"), data...)), 1<<20)
		d := decoder{answer: &answer{}, left: 1 << 20}
		if _, err := d.frame(append([]byte{frameSeries}, data...), false); err == nil {
			total := 0
			for _, s := range d.answer.series {
				if s.columns.H != nil && len(s.columns.H) != len(s.columns.T) || len(s.columns.V) != len(s.columns.T) {
					t.Fatalf("columns of different lengths: %d %d %d", len(s.columns.T), len(s.columns.V), len(s.columns.H))
				}
				total += s.columns.Len()
			}
			if total*9 > len(data) {
				t.Fatalf("%d samples out of %d bytes", total, len(data))
			}
		}
	})
}

// FuzzRequest feeds questions.
func FuzzRequest(f *testing.F) {
	seed, err := encodeRequest("a", everything, []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "a", "b.*")})
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		q, ms, err := decodeRequest(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, model.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		again, err := encodeRequest(q.Tenant, model.TimeRange{MinMs: q.MinMs, MaxMs: q.MaxMs}, ms)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := decodeRequest(bytes.NewReader(again)); err != nil {
			t.Fatal(err)
		}
	})
}
