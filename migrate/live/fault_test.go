package live

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// recorded is an answer of a handler.
func recorded(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// fault is something that goes wrong with an answer, once.
type fault func(rw http.ResponseWriter, answer *httptest.ResponseRecorder)

func status(code int, text string) fault {
	return func(rw http.ResponseWriter, _ *httptest.ResponseRecorder) {
		rw.Header().Set("Retry-After", "1")
		http.Error(rw, text, code)
	}
}

// cutAt breaks the connection behind so many bytes of the answer.
func cutAt(n int) fault {
	return func(rw http.ResponseWriter, a *httptest.ResponseRecorder) {
		copyHeader(rw, a)
		b := a.Body.Bytes()
		rw.Write(b[:min(n, len(b))])
		rw.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// flipAt changes a byte of the answer.
func flipAt(n int) fault {
	return func(rw http.ResponseWriter, a *httptest.ResponseRecorder) {
		copyHeader(rw, a)
		b := bytes.Clone(a.Body.Bytes())
		if len(b) > 0 {
			b[n%len(b)] ^= 0x20
		}
		rw.Write(b)
	}
}

// endAt ends the answer in good order, but too early: a server that stumbles and says nothing.
func endAt(n int) fault {
	return func(rw http.ResponseWriter, a *httptest.ResponseRecorder) {
		copyHeader(rw, a)
		rw.Write(a.Body.Bytes()[:min(n, a.Body.Len())])
	}
}

func copyHeader(rw http.ResponseWriter, a *httptest.ResponseRecorder) {
	for k, v := range a.Header() {
		rw.Header()[k] = v
	}
}

// faulty answers as h does, but for the n-th request.
func faulty(h http.Handler, n int, f fault) http.Handler {
	turn := make(chan int, 1)
	turn <- 0
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		now := <-turn
		turn <- now + 1
		a := recorded(h, r)
		if now == n {
			f(rw, a)
			return
		}
		copyHeader(rw, a)
		rw.WriteHeader(a.Code)
		rw.Write(a.Body.Bytes())
	})
}

// TestFaultAtEachRequest lets each request of a job fail in each way; the job gets through, and everything is there once.
func TestFaultAtEachRequest(t *testing.T) {
	w := newWorld(t)
	w.scrape(migratetest.FirstDay.Range().MinMs, w.NowMs, 7_200_000)
	want := w.contents()
	faults := map[string]fault{
		"500": status(500, "no"), "503": status(503, "busy"), "429": status(429, "slow down"), "504": status(504, "timeout"), "422": status(422, "too many chunks"),
		"413": status(413, ""), "cut": cutAt(100), "before": cutAt(0), "flip": flipAt(40),
	}
	for _, samples := range []bool{false, true} {
		h := w.remoteRead(samples, 0)
		for name, f := range faults {
			if samples && name == "flip" {
				continue // snappy has no checksum
			}
			for n := 0; ; n++ {
				w.World = migratetest.New(t)
				w.NowMs = (migratetest.FirstDay + 3).Range().MinMs + 12*3_600_000
				s := w.serve(faulty(h, n, f))
				r, skips := w.take(s, NewRemoteRead, all(), nil)
				require.Equal(t, int64(len(want)), r.Samples, "%s at request %d", name, n)
				require.Empty(t, skips.Named())
				w.Complete(want, "%s at request %d", name, n)
				s.Close()
				if n+1 >= int(s.asked.Load()) {
					break
				}
				if n == 0 {
					n = w.Rand.IntN(5)
				} else {
					n += w.Rand.IntN(9)
				}
			}
		}
	}
}

// oneSlice is a source of one day that comes in one answer.
func (w *world) oneSlice(h http.Handler, open opener, skips *migrate.Skips, tries int) *Source {
	src := w.open(w.serve(h), open, skips, &Options{Requests: 1, Tries: tries, Stall: time.Minute})
	src.pace = pace{size: model.MsPerDay, ceiling: model.MsPerDay}
	return src
}

// fetchDay fetches the first day and returns what came of it.
func fetchDay(src *Source) (map[string]string, error) {
	_, _, err := src.Fetch(context.Background(), migratetest.FirstDay.Range(), migrateAll, func(int64, int64) {})
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for s, err := range src.Series(context.Background(), migratetest.FirstDay.Range(), nil) {
		if err != nil {
			return nil, err
		}
		c := &model.Columns{}
		if err := s.Samples(c, migratetest.FirstDay.Range()); err != nil {
			return nil, err
		}
		migratetest.Put(out, s.Labels(), c)
	}
	return out, src.Release(migratetest.FirstDay)
}

// TestCutAtEachByte ends an answer at each of its bytes, by breaking the connection or without a word: the slice is asked for again.
func TestCutAtEachByte(t *testing.T) {
	w := newWorld(t)
	w.scrape(migratetest.FirstDay.Range().MinMs, migratetest.FirstDay.Range().MaxMs, 6*3_600_000)
	want := w.contents()
	for _, samples := range []bool{false, true} {
		h := w.remoteRead(samples, 0)
		for n := 0; ; n++ {
			length := 0
			for name, f := range map[string]fault{"cut": cutAt(n), "end": endAt(n)} {
				skips := migrate.NewSkips(true)
				seen := 0
				src := w.oneSlice(faulty(h, 0, func(rw http.ResponseWriter, a *httptest.ResponseRecorder) {
					length = a.Body.Len()
					seen++
					f(rw, a)
				}), NewRemoteRead, skips, 2)
				got, err := fetchDay(src)
				require.NoError(t, err)
				require.Equal(t, 1, seen)
				if name == "end" && !samples && len(got) < len(want) {
					// Streams have no end of their own: one that a server ends well between two frames looks like a whole one.
					require.NoError(t, src.Close())
					continue
				}
				migratetest.Same(t, want, got, "%s at byte %d of %d", name, n, length)
				require.NoError(t, src.Close())
			}
			n += w.Rand.IntN(5)
			if n >= length {
				break
			}
		}
	}
}

// TestBucketFaults ends a job at each of its calls to the bucket, lets the server shrink or grow, and goes on: everything that was ever taken over in whole is there.
func TestBucketFaults(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorld(t)
		w.scrape(migratetest.FirstDay.Range().MinMs, migratetest.FirstDay.Range().MaxMs+2*3_600_000, 3*3_600_000)
		s := w.serve(w.remoteRead(false, 0))
		c, d := w.Components()
		d.SetHook(faultblob.Nth(n, faultblob.Action{Kind: []faultblob.Kind{faultblob.CrashAfter, faultblob.CrashBefore, faultblob.LoseAnswer}[n%3]}))
		skips := migrate.NewSkips(true)
		src := w.open(s, NewRemoteRead, skips, nil)
		_, err := migrate.Run(context.Background(), all(), c, src, skips)
		require.NoError(t, src.Close())
		if n%2 == 0 {
			w.scrape(migratetest.FirstDay.Range().MinMs+1000, migratetest.FirstDay.Range().MinMs+5000, 1000)
		}
		w.take(s, NewRemoteRead, all(), nil)
		want := w.contents()
		got, _, _ := w.Read()
		if err == nil && n%2 == 0 {
			break // it was over before it could grow
		}
		migratetest.Same(t, want, got, "call %d", n)
		r, _ := w.take(s, NewRemoteRead, all(), nil)
		require.Zero(t, r.Blocks)
		if d.Calls() < n {
			break
		}
	}
}

// TestUnchangedIsOnce is TestBucketFaults with a server that stays as it is: each sample is there once, also in the blocks.
func TestUnchangedIsOnce(t *testing.T) {
	db := newWorld(t)
	db.scrape(migratetest.FirstDay.Range().MinMs, migratetest.FirstDay.Range().MaxMs+2*3_600_000, 3*3_600_000)
	want := db.contents()
	s := db.serve(db.remoteRead(false, 0))
	for n := 1; ; n++ {
		w := &world{World: migratetest.New(t), db: db.db}
		w.NowMs = db.NowMs
		c, d := w.Components()
		d.SetHook(faultblob.Nth(n, faultblob.Action{Kind: []faultblob.Kind{faultblob.CrashAfter, faultblob.CrashBefore, faultblob.LoseAnswer}[n%3]}))
		skips := migrate.NewSkips(true)
		src := w.open(s, NewRemoteRead, skips, nil)
		_, _ = migrate.Run(context.Background(), all(), c, src, skips)
		require.NoError(t, src.Close())
		w.take(s, NewRemoteRead, all(), nil)
		w.Complete(want, "call %d", n)
		if d.Calls() < n {
			break
		}
	}
}

// TestBadServers end the job with an error that says what is the matter, and nothing of the password.
func TestBadServers(t *testing.T) {
	answer := func(contentType, text string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", contentType)
			fmt.Fprint(rw, text)
		}
	}
	code := func(code int, contentType, text string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", contentType)
			rw.WriteHeader(code)
			fmt.Fprint(rw, text)
		}
	}
	const streamed, plain = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse", "application/x-protobuf"
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprintln(z, `{"metric":{"a":"b"},"values":[1],"timestamps":[1]}`)
	require.NoError(t, z.Close())
	tests := []struct {
		name  string
		open  opener
		h     http.HandlerFunc
		says  string
		kind  error
		asked int
	}{
		{"html", NewRemoteRead, answer("text/html", "<html>welcome</html>"), "not one of remote read", model.ErrInvalid, 1},
		{"json", NewRemoteRead, answer("application/json", "{}"), "not one of remote read", model.ErrInvalid, 1},
		{"404", NewRemoteRead, code(404, "text/html", "<html>"), "HTTP 404 Not Found, with a page of HTML: is the path", model.ErrNotFound, 1},
		{"401", NewRemoteRead, code(401, "text/plain", "who are you\nreally"), `HTTP 401 Unauthorized: "who are you": are the credentials right`, nil, 1},
		{"400", NewRemoteRead, code(400, "text/plain", "bad matcher"), `HTTP 400 Bad Request: "bad matcher"`, nil, 1},
		{"500", NewRemoteRead, code(500, "text/plain", "oh"), "3 tries: HTTP 500", model.ErrUnavailable, 3},
		{"snappy", NewRemoteRead, answer(plain, "\xff\xff\xff\xff\x0f"), "3 tries: the answer is not compressed as it should be", model.ErrUnavailable, 3},
		{"snappy that lies", NewRemoteRead, answer(plain, "\x80\x80\x80\x20abc"), "3 tries: the answer is not compressed as it should be", model.ErrUnavailable, 3},
		{"message", NewRemoteRead, answer(plain, "\x02\x04\x0a\x7f"), "message does not decode", model.ErrUnavailable, 3},
		{"huge frame", NewRemoteRead, answer(streamed, "\xff\xff\xff\xff\x0fabcdefgh"), "it says that it has", model.ErrUnavailable, 3},
		{"text instead of frames", NewRemoteRead, answer(streamed, "error: something went wrong, and now there is this text in the midst of the stream"), "breaks off or is damaged", model.ErrUnavailable, 3},
		{"victoria html", NewVictoria, answer("text/html", "<html>"), "not lines of JSON", model.ErrInvalid, 1},
		{"victoria half a line", NewVictoria, answer("application/stream+json", `{"metric":{"a":"b"},"values":[1],"timestamps":[1]}`), "breaks off", model.ErrUnavailable, 3},
		{"victoria half of gzip", NewVictoria, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			rw.Header().Set("Content-Type", "application/json")
			rw.Write(packed.Bytes()[:packed.Len()-4])
		}, "3 tries: the answer is damaged", model.ErrUnavailable, 3},
		{"victoria 422", NewVictoria, code(422, "text/plain", "cannot parse"), "too much even for", model.ErrUnavailable, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			s := w.serve(test.h)
			s.URL = strings.Replace(s.URL, "http://", "http://someone:s3cret@", 1) + "/?token=hush"
			skips := migrate.NewSkips(false)
			src := w.open(s, test.open, skips, &Options{Tries: 3, Requests: 1})
			c, _ := w.Components()
			_, err := migrate.Run(context.Background(), all(), c, src, skips)
			require.ErrorContains(t, err, test.says)
			if test.kind != nil {
				require.ErrorIs(t, err, test.kind)
			}
			for _, secret := range []string{"s3cret", "someone", "hush"} {
				require.NotContains(t, err.Error(), secret)
			}
			if test.asked > 0 {
				// Two days are asked for at one time, and the second may have begun.
				require.GreaterOrEqual(t, int(s.asked.Load()), test.asked)
				require.LessOrEqual(t, int(s.asked.Load()), 2*test.asked)
			}
			require.NoError(t, src.Close())
			left, err := os.ReadDir(src.opts.TempDir)
			require.NoError(t, err)
			require.Empty(t, left)
			got, _, _ := w.Read()
			require.Empty(t, got, "nothing is half visible")
		})
	}
}

// TestStall gives up on servers that do not answer, or drip, and asks for less.
func TestStall(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"silent": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the end of the connection is not seen
			<-r.Context().Done()
		},
		"dripping": func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			rw.Header().Set("Content-Type", "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
			rw.Write([]byte("\x80\x80\x40 a frame of a megabyte begins"))
			for r.Context().Err() == nil {
				rw.Write([]byte{0})
				rw.(http.Flusher).Flush()
				<-time.After(time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.serve(h)
			src := w.open(s, NewRemoteRead, migrate.NewSkips(true), &Options{Requests: 1, Tries: 3, Stall: 30 * time.Millisecond})
			_, err := fetchDay(src)
			require.ErrorIs(t, err, model.ErrUnavailable)
			require.ErrorContains(t, err, "3 tries")
			require.Equal(t, int64(firstSliceMs/8), src.pace.take())
			require.NoError(t, src.Close())
		})
	}
}

// TestUnreachable says so, without the URL's credentials.
func TestUnreachable(t *testing.T) {
	w := newWorld(t)
	s := w.serve(http.NotFoundHandler())
	s.Close()
	s.URL = strings.Replace(s.URL, "http://", "http://someone:s3cret@", 1)
	src := w.open(s, NewRemoteRead, migrate.NewSkips(true), &Options{Requests: 1})
	told := 0
	src.c.Retrying = func(err error, wait time.Duration) {
		told++
		require.NotContains(t, err.Error(), "s3cret")
		require.Positive(t, wait)
	}
	_, err := fetchDay(src)
	require.Equal(t, 7, told)
	require.ErrorIs(t, err, model.ErrUnavailable)
	require.NotContains(t, err.Error(), "s3cret")
	require.NotContains(t, err.Error(), "someone")
	for _, bad := range []string{"", "ftp://h", "http://", "http://a:s3cret@h:x/", "://s3cret"} {
		_, err := NewRemoteRead(bad, nil, nil, Components{})
		require.ErrorIs(t, err, model.ErrInvalid)
		require.NotContains(t, err.Error(), "s3cret")
	}
}
