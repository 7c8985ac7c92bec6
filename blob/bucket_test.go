package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// instant is a clock on which waiting takes no time; it keeps what was waited for.
type instant struct{ waits []time.Duration }

func (*instant) Now() time.Time { return time.Time{} }

func (c *instant) Sleep(ctx context.Context, d time.Duration) error {
	c.waits = append(c.waits, d)
	return ctx.Err()
}

// faulty is a bucket in memory whose calls fail as the hook says.
func faulty(t *testing.T, opts *blob.Options) (*blob.Bucket, *faultblob.Driver, *instant) {
	t.Helper()
	clock := &instant{}
	if opts == nil {
		opts = &blob.Options{}
	}
	opts.Clock = clock
	f := faultblob.Wrap(mem.New())
	return blob.New(f, opts), f, clock
}

func TestRetries(t *testing.T) {
	b, f, clock := faulty(t, &blob.Options{Backoff: 100 * time.Millisecond, MaxBackoff: 300 * time.Millisecond})
	fails := 0
	f.SetHook(func(faultblob.Call) faultblob.Action {
		if fails++; fails <= 6 {
			return faultblob.Action{Kind: faultblob.Fail}
		}
		return faultblob.Action{}
	})
	if _, err := b.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatalf("six failures, six retries: %v", err)
	}
	for i, mean := range []time.Duration{100, 200, 300, 300, 300, 300} {
		mean *= time.Millisecond
		if w := clock.waits[i]; w < mean/2 || w > mean*3/2 {
			t.Errorf("wait %d was %s, want within half of %s", i, w, mean)
		}
	}
	fails = -1
	if _, err := b.Put(t.Context(), "k", []byte("v")); !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("seven failures: got %v", err)
	}
}

func TestFinalErrorsAreNotRetried(t *testing.T) {
	b, f, _ := faulty(t, nil)
	for _, kind := range []error{model.ErrNotFound, model.ErrConflict, model.ErrInvalid, blob.ErrDenied, faultblob.ErrCrashed, errors.New("other")} {
		before := f.Calls()
		f.SetHook(func(faultblob.Call) faultblob.Action { return faultblob.Action{Kind: faultblob.Fail, Err: kind} })
		if _, _, err := b.Get(t.Context(), "a/k"); !errors.Is(err, kind) || !strings.HasPrefix(err.Error(), "get a/k: ") {
			t.Errorf("got %v, want get a/k: … %v", err, kind)
		}
		if n := f.Calls() - before; n != 1 {
			t.Errorf("%v: %d calls, want 1", kind, n)
		}
	}
}

func TestLostAnswerOfACreateIsAConflict(t *testing.T) {
	b, f, _ := faulty(t, nil)
	f.SetHook(faultblob.Nth(1, faultblob.Action{Kind: faultblob.LoseAnswer}))
	if _, err := b.PutIfAbsent(t.Context(), "k", []byte("mine")); !errors.Is(err, model.ErrConflict) {
		t.Fatalf("got %v, want a conflict with the own object", err)
	}
	if data, _, err := b.Get(t.Context(), "k"); err != nil || string(data) != "mine" {
		t.Fatalf("read back %q, %v", data, err)
	}
}

func TestBrokenBodyIsResumed(t *testing.T) {
	b, f, _ := faulty(t, nil)
	want := bytes.Repeat([]byte("0123456789"), 10)
	if _, err := b.Put(t.Context(), "k", want); err != nil {
		t.Fatal(err)
	}
	var asked []faultblob.Call
	f.SetHook(func(c faultblob.Call) faultblob.Action {
		if asked = append(asked, c); len(asked) < 4 {
			return faultblob.Action{Kind: faultblob.Tear, Keep: 30}
		}
		return faultblob.Action{}
	})
	for _, read := range []func() ([]byte, error){
		func() ([]byte, error) { d, _, err := b.Get(t.Context(), "k"); return d, err },
		func() ([]byte, error) { return b.GetRange(t.Context(), "k", 0, 100) },
	} {
		asked = nil
		if got, err := read(); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %q, %v", got, err)
		}
		if len(asked) != 4 {
			t.Errorf("%d calls, want 4: each gives 30 more bytes", len(asked))
		}
	}
}

func TestBrokenBodyOfAChangedObjectBeginsAnew(t *testing.T) {
	inner := mem.New()
	f := faultblob.Wrap(inner)
	b := blob.New(f, &blob.Options{Clock: &instant{}})
	if _, err := b.Put(t.Context(), "k", []byte("aaaaaaaaaa")); err != nil {
		t.Fatal(err)
	}
	n := 0
	f.SetHook(func(faultblob.Call) faultblob.Action {
		switch n++; n {
		case 1:
			return faultblob.Action{Kind: faultblob.Tear, Keep: 4}
		case 2:
			if _, err := inner.Put(t.Context(), "k", []byte("bbbbbbbbbb"), blob.Condition{}); err != nil {
				t.Error(err)
			}
		}
		return faultblob.Action{}
	})
	if got, _, err := b.Get(t.Context(), "k"); err != nil || string(got) != "bbbbbbbbbb" {
		t.Fatalf("got %q, %v, want one version of the object", got, err)
	}
}

func TestListGoesOnAfterAFailure(t *testing.T) {
	b, f, _ := faulty(t, &blob.Options{Prefix: "p"})
	for i := range 10 {
		if _, err := b.Put(t.Context(), fmt.Sprintf("k%d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	tears := 0
	f.SetHook(func(faultblob.Call) faultblob.Action {
		if tears++; tears < 4 {
			return faultblob.Action{Kind: faultblob.Tear, Keep: 3 * tears}
		}
		return faultblob.Action{}
	})
	var got []string
	for o, err := range b.List(t.Context(), "k") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o.Key)
	}
	if s := strings.Join(got, " "); s != "k0 k1 k2 k3 k4 k5 k6 k7 k8 k9" {
		t.Errorf("listed %s", s)
	}
}

func TestReadRangesIsOneStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := countblob.Wrap(mem.New(), &countblob.Options{Latency: time.Millisecond})
		b := blob.New(c, nil)
		if _, err := b.Put(t.Context(), "k", make([]byte, 10<<20)); err != nil {
			t.Fatal(err)
		}
		c.Reset()
		var ranges []blob.Range
		for i := range int64(50) {
			ranges = append(ranges, blob.Range{Offset: i * 200 << 10, Length: 10})
		}
		stats := &blob.ReadStats{}
		if _, err := b.ReadRanges(t.Context(), "k", ranges, &blob.ReadOptions{Stats: stats}); err != nil {
			t.Fatal(err)
		}
		s := c.Stats()
		if s.Stages != 1 || s.Requests[countblob.OpGet] != 50 || s.Bytes != 500 {
			t.Errorf("%+v, want 50 requests for 500 bytes in 1 stage", s)
		}
		if stats.Requests.Load() != 50 || stats.Bytes.Load() != 500 || stats.Needed.Load() != 500 {
			t.Errorf("stats tell of %d requests, %d bytes, %d needed", stats.Requests.Load(), stats.Bytes.Load(), stats.Needed.Load())
		}
		if _, err := b.GetRange(t.Context(), "k", 0, 1); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Stages != 2 {
			t.Errorf("a read after the others makes %d stages, want 2", s.Stages)
		}
	})
}

func TestSpendRefuses(t *testing.T) {
	b, f, _ := faulty(t, nil)
	_, err := b.ReadRanges(t.Context(), "k", []blob.Range{{Offset: 0, Length: 7}, {Offset: 1 << 20, Length: 5}}, &blob.ReadOptions{
		Spend: func(requests int, bytes int64) error {
			return fmt.Errorf("%d, %d: %w", requests, bytes, model.ErrLimit)
		},
	})
	if !errors.Is(err, model.ErrLimit) || !strings.Contains(err.Error(), "2, 12") || f.Calls() != 0 {
		t.Errorf("got %v after %d calls, want a refusal of 2 requests for 12 bytes before any call", err, f.Calls())
	}
}

func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := countblob.Wrap(mem.New(), &countblob.Options{Latency: time.Millisecond})
		b := blob.New(c, &blob.Options{MaxInFlight: 4})
		if _, err := b.Put(t.Context(), "k", make([]byte, 4<<20)); err != nil {
			t.Fatal(err)
		}
		c.Reset()
		var ranges []blob.Range
		for i := range int64(20) {
			ranges = append(ranges, blob.Range{Offset: i * 200 << 10, Length: 10})
		}
		if _, err := b.ReadRanges(t.Context(), "k", ranges, nil); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Stages != 5 {
			t.Errorf("20 requests, 4 at a time, took %d stages, want 5", s.Stages)
		}
	})
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	b := blob.New(mem.New(), &blob.Options{Registerer: reg})
	other := blob.New(mem.New(), &blob.Options{Registerer: reg}) // shares them
	for _, b := range []*blob.Bucket{b, other} {
		if _, err := b.Put(t.Context(), "k", []byte("12345")); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := b.Get(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Get(t.Context(), "missing"); err == nil {
		t.Fatal("found a missing object")
	}
	want := `
# HELP varve_blob_read_bytes_total Bytes of object bodies that came from the object store.
# TYPE varve_blob_read_bytes_total counter
varve_blob_read_bytes_total{op="get",scheme="mem"} 5
# HELP varve_blob_requests_total Requests to the object store, each try counted, by operation and outcome.
# TYPE varve_blob_requests_total counter
varve_blob_requests_total{op="get",outcome="not_found",scheme="mem"} 1
varve_blob_requests_total{op="get",outcome="ok",scheme="mem"} 1
varve_blob_requests_total{op="put",outcome="ok",scheme="mem"} 2
# HELP varve_blob_written_bytes_total Bytes of object bodies that were sent to the object store.
# TYPE varve_blob_written_bytes_total counter
varve_blob_written_bytes_total{op="put",scheme="mem"} 10
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"varve_blob_requests_total", "varve_blob_read_bytes_total", "varve_blob_written_bytes_total"); err != nil {
		t.Error(err)
	}
}

func TestBadPrefixFailsEveryCall(t *testing.T) {
	b := blob.New(mem.New(), &blob.Options{Prefix: "../x"})
	if _, err := b.Put(t.Context(), "k", nil); !errors.Is(err, model.ErrInvalid) {
		t.Errorf("put: %v", err)
	}
	if _, _, err := b.Get(t.Context(), "k"); !errors.Is(err, model.ErrInvalid) {
		t.Errorf("get: %v", err)
	}
}
