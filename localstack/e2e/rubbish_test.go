//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// A rubbish request must be answered 4xx with a sentence that says what is wrong with it.
type rubbish struct {
	name         string
	method, path string
	header       map[string]string
	body         []byte
	// says is part of the sentence; "" asks for any sentence.
	says string
}

func post(name, path string, body []byte, says string) rubbish {
	return rubbish{name, http.MethodPost, path, writeHeader(), body, says}
}

func get(name, path, says string) rubbish {
	return rubbish{name, http.MethodGet, path, nil, nil, says}
}

// oneSeries is a write request of one sample with these labels.
func oneSeries(t *testing.T, pairs ...string) []byte {
	t.Helper()
	ts := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: time.Now().UnixMilli(), Value: 1}}}
	for i := 0; i < len(pairs); i += 2 {
		ts.Labels = append(ts.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return encodeWrite(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{ts}})
}

func rubbishWrites(t *testing.T, rng *rand.Rand) []rubbish {
	t.Helper()
	const path = "/api/v1/write"
	random := make([]byte, 64<<10)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	good := oneSeries(t, "__name__", "rubbish_good", "a", strings.Repeat("x", 500))
	many := []string{"__name__", "rubbish_many"}
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("l%05d", i), "v")
	}
	tooLate := encodeWrite(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels: []prompb.Label{{Name: "__name__", Value: "rubbish_late"}}, Samples: []prompb.Sample{{Timestamp: 1 << 62, Value: 1}},
	}}})
	traversal := post("tenant ../..", path, good, "")
	traversal.header["X-Scope-OrgID"] = "../.."
	long := post("tenant of 65 bytes", path, good, "64")
	long.header["X-Scope-OrgID"] = strings.Repeat("t", 65)
	plain := post("another compression", path, good, "")
	plain.header["Content-Encoding"] = "br"
	return []rubbish{
		post("random bytes", path, random, ""),
		post("nothing", path, nil, ""),
		post("truncated snappy", path, good[:len(good)/2], ""),
		post("a declared length of 1 GiB", path, binary.AppendUvarint(nil, 1<<30), ""),
		post("a declared length of 1 GiB and some bytes", path, append(binary.AppendUvarint(nil, 1<<30), random...), ""),
		post("a bomb", path, snappy.Encode(nil, make([]byte, 512<<20)), ""),
		post("snappy of random bytes", path, snappy.Encode(nil, random), ""),
		post("a message that ends early", path, snappy.Encode(nil, []byte{1<<3 | 2, 200}), ""),
		post("a length of 2^63", path, snappy.Encode(nil, append([]byte{1<<3 | 2}, bytes.Repeat([]byte{0xff}, 9)...)), ""),
		post("a label name with NUL", path, oneSeries(t, "__name__", "rubbish", "a\x00b", "1"), "rubbish"),
		post("a metric name with NUL", path, oneSeries(t, "__name__", "rub\x00bish"), ""),
		post("an empty label name", path, oneSeries(t, "__name__", "rubbish", "", "1"), "rubbish"),
		post("no UTF-8 in a value", path, oneSeries(t, "__name__", "rubbish", "a", "\xff\xfe"), ""),
		post("a label twice", path, oneSeries(t, "__name__", "rubbish", "a", "1", "a", "2"), "rubbish"),
		post("no metric name", path, oneSeries(t, "a", "1"), ""),
		post("no labels", path, oneSeries(t), ""),
		post("10,000 labels", path, oneSeries(t, many...), "label"),
		post("a label value of 1 MiB", path, oneSeries(t, "__name__", "rubbish", "a", strings.Repeat("v", 1<<20)), ""),
		post("the year 146 million", path, tooLate, ""),
		traversal, long, plain,
		{"GET of write", http.MethodGet, path, nil, nil, ""},
	}
}

func rubbishQueries() []rubbish {
	form := func(name, path, body string) rubbish {
		return rubbish{name, http.MethodPost, path, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, []byte(body), ""}
	}
	tenant := get("query as tenant ../..", "/api/v1/query?query=up", "")
	tenant.header = map[string]string{"X-Scope-OrgID": "../.."}
	return []rubbish{
		get("no query", "/api/v1/query", ""),
		get("half an expression", "/api/v1/query?query=sum(", "parse"),
		get("an expression with NUL", "/api/v1/query?query=%00", ""),
		get("a time that is none", "/api/v1/query?query=up&time=yesterday", "time"),
		get("deep brackets", "/api/v1/query?query="+strings.Repeat("(", 3000), ""),
		get("a step of 0", "/api/v1/query_range?query=up&start=0&end=1&step=0", "step"),
		get("too many points", "/api/v1/query_range?query=up&start=0&end=1e9&step=1", ""),
		get("an end before the start", "/api/v1/query_range?query=up&start=10&end=1&step=1", "end"),
		get("series without a selector", "/api/v1/series", ""),
		get("a broken selector", "/api/v1/series?match[]={", ""),
		get("a label name that is none", "/api/v1/label/%ff%fe/values", ""),
		get("a path that is none", "/api/v1/nothing", ""),
		form("a form of percent signs", "/api/v1/query", "%%%%%"),
		tenant,
		{"GET of flush", http.MethodGet, "/api/v1/admin/tsdb/flush", nil, nil, ""},
		{"an odd method", "BREW", "/api/v1/query", nil, nil, "BREW"},
		post("rubbish between servers", "/internal/v1/select", []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f rubbish"), ""),
	}
}

// TestRubbish sends rubbish to every endpoint, many times.
func TestRubbish(t *testing.T) {
	rng := random(t)
	s := startServer(t, "rubbish", fileBucket(t))
	all := append(rubbishWrites(t, rng), rubbishQueries()...)
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) { r.check(t, s) })
	}
	if t.Failed() {
		return
	}
	before := settle(t, s, all, 5)
	after := settle(t, s, all, long(200, 20))
	t.Logf("resident memory %d MiB, after all of it again many times %d MiB", before>>20, after>>20)
	if after > before+64<<20 {
		t.Errorf("resident memory grew from %d to %d MiB", before>>20, after>>20)
	}
	if s.logged("panic") {
		t.Error("the server logged a panic")
	}
	w := newWriter(t, "after", 3)
	if err := w.write(t.Context(), s.url("/api/v1/write")); err != nil {
		t.Errorf("an ordinary write afterwards: %v", err)
	}
}

// check sends the request once and judges the answer.
func (r rubbish) check(t *testing.T, s *server) {
	t.Helper()
	status, body, err := call(t.Context(), r.method, s.url(r.path), r.header, bytes.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(string(body))
	t.Logf("%d %.300s", status, text)
	switch {
	case status/100 != 4:
		t.Errorf("status %d, want 4xx", status)
	case len(strings.Fields(text)) < 4 || text == "404 page not found":
		t.Errorf("the answer %q is no sentence that helps", text)
	case !strings.Contains(text, r.says):
		t.Errorf("the answer does not say %q", r.says)
	case strings.Contains(text, "goroutine "), strings.Contains(text, "runtime error"):
		t.Error("the answer shows a panic")
	}
}

// settle sends all of it some times over and returns the resident memory afterwards.
func settle(t *testing.T, s *server, all []rubbish, times int) int64 {
	t.Helper()
	for range times {
		for _, r := range all {
			if _, _, err := call(t.Context(), r.method, s.url(r.path), r.header, bytes.NewReader(r.body)); err != nil {
				t.Fatalf("%s: %v", r.name, err)
			}
		}
	}
	u, err := s.process().Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u.RSS
}
