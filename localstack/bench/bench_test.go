package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/prompb"
)

// decode reads a request as any other server would.
func decode(t *testing.T, r request) *prompb.WriteRequest {
	t.Helper()
	raw, err := snappy.Decode(nil, r.body)
	if err != nil {
		t.Fatal(err)
	}
	var w prompb.WriteRequest
	if err := w.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	return &w
}

func TestGeneratedLoad(t *testing.T) {
	o := &workloadOptions{seed: 7, targets: 5, metrics: 100, span: 130 * 15 * time.Second, batch: 500, interval: 15 * time.Second, churn: 5}
	now := time.UnixMilli(1_700_000_000_000)
	l := generatedLoad(o, 2, now)
	var samples, stale int64
	last := map[string]int64{}
	for _, sender := range l.senders {
		for _, r := range sender {
			n := 0
			for _, ts := range decode(t, r).Timeseries {
				names := make([]string, 0, len(ts.Labels))
				var key strings.Builder
				for _, label := range ts.Labels {
					names = append(names, label.Name)
					key.WriteString(label.Name + "=" + label.Value + ",")
				}
				if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
					t.Fatalf("labels out of order or twice: %v", ts.Labels)
				}
				for _, s := range ts.Samples {
					if s.Timestamp <= last[key.String()] || s.Timestamp >= now.UnixMilli() {
						t.Fatalf("%s: time %d after %d", key.String(), s.Timestamp, last[key.String()])
					}
					last[key.String()] = s.Timestamp
					if math.Float64bits(s.Value) == staleBits {
						stale++
					} else if math.IsNaN(s.Value) || s.Value < 0 {
						t.Fatalf("%s: value %v", key.String(), s.Value)
					}
					n++
				}
			}
			if n != r.samples {
				t.Fatalf("%d samples in a request that says %d", n, r.samples)
			}
			samples += int64(n)
		}
	}
	if samples != l.samples || samples != int64(5*100*130)+stale {
		t.Errorf("%d samples, %d of them stale, load says %d", samples, stale, l.samples)
	}
	if int64(len(last)) != l.series || stale == 0 {
		t.Errorf("%d series, load says %d; %d stale markers", len(last), l.series, stale)
	}
	again := generatedLoad(o, 2, now)
	for i, sender := range l.senders {
		if !slices.EqualFunc(sender, again.senders[i], func(a, b request) bool { return bytes.Equal(a.body, b.body) }) {
			t.Error("the same seed gives another load")
		}
	}
}

func TestRecorded(t *testing.T) {
	var file bytes.Buffer
	z, err := zstd.NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []recordedSeries{
		{map[string]string{"__name__": "a", "z": "1", "b": "2"}, []int64{1, 5000, 5001, 5002}, []string{"1", "NaN", "+Inf", "0.1"}},
		{map[string]string{"__name__": "b"}, []int64{4000}, []string{"-0"}},
	} {
		if err := json.NewEncoder(z).Encode(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := readRecorded(&file)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d series, %v", len(got), err)
	}
	if !bytes.Equal(got[0].labels, encodeLabels("__name__", "a", "b", "2", "z", "1")) || got[0].before(5000) != 1 || got[0].before(5002) != 3 {
		t.Errorf("got %+v", got[0])
	}
	if v := got[1].samples[0].v; math.Float64bits(v) != 1<<63 {
		t.Errorf("minus zero became %v", v)
	}
}

func TestSendRetriesWhatItIsAskedTo(t *testing.T) {
	answers := []int{503, 204, 429, 204}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(answers[0])
		answers = answers[1:]
	}))
	defer srv.Close()
	l := &load{}
	l.add([]request{{samples: 1}, {samples: 1}})
	rep, err := l.send(t.Context(), srv.URL)
	if err != nil || rep.retries != 2 || len(rep.answers) != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
	srv.Config.Handler = http.NotFoundHandler()
	if _, err := l.send(t.Context(), srv.URL); err == nil {
		t.Error("a 404 is no error")
	}
}

func TestTable(t *testing.T) {
	old := filepath.Join(t.TempDir(), "old.json")
	r := &report{Load: "x", Samples: 1, figures: figures{SamplesPerCPUSecond: 100, Queries: []queryFigures{{Name: "q", CPUMs: 10}}}}
	var buf bytes.Buffer
	if err := r.writeJSON(&buf); err != nil {
		t.Fatal(err)
	}
	writeFile(t, old, buf.Bytes())
	buf.Reset()
	r.SamplesPerCPUSecond = 150
	r.Peers = []peer{{Name: "Peer", Version: "1.2.3", figures: figures{SamplesPerCPUSecond: 30, Queries: []queryFigures{{Name: "q", CPUMs: 40}}}}}
	r.Skipped = []string{"other is not installed"}
	if err := r.writeTable(&buf, old); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"× 1.50", "Peer 1.2.3", "0.20", "4.00", "skipped: other is not installed"} {
		if !strings.Contains(buf.String(), want) {
			t.Errorf("no %q in\n%s", want, buf.String())
		}
	}
}

func TestPace(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p := newPace(2)
	defer context.AfterFunc(ctx, p.wake)()
	p.at[1] = 0
	ahead := make(chan struct{})
	go func() {
		p.wait(ctx, 0, 2*maxSkewMs)
		close(ahead)
	}()
	p.wait(ctx, 1, maxSkewMs-1)
	select {
	case <-ahead:
		t.Error("a sender is too far ahead")
	case <-time.After(10 * time.Millisecond):
	}
	p.done(1)
	<-ahead
	if ctx.Err() != nil {
		t.Error("a sender waits for one that is done")
	}
}

func TestCountSeries(t *testing.T) {
	answer, status := `{"data":{"result":[{},{}]}}`, http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	defer srv.Close()
	if n, err := countSeries(t.Context(), srv.URL); n != 2 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
	answer, status = "because", http.StatusUnprocessableEntity
	if _, err := countSeries(t.Context(), srv.URL); err == nil || !strings.Contains(err.Error(), "because") {
		t.Errorf("%v, want the answer in it", err)
	}
}

func TestWeighDirs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/x/1", "a/y/2", "b/3"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, make([]byte, 10))
	}
	if n, err := weighDirs(dir, []string{"a/*"}); n != 20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := weighDirs(dir, []string{"b", "c"}); err == nil {
		t.Error("a directory that is not there weighs something")
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHelp checks that asking for help is no failure, and a wrong flag is one.
func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, io.Discard, &out); err != nil || !strings.Contains(out.String(), "-churn") {
		t.Errorf("--help: %v, %q", err, out.String())
	}
	if err := run(t.Context(), []string{"--chrun", "1"}, io.Discard, io.Discard); err == nil {
		t.Error("a flag that does not exist is accepted")
	}
}
