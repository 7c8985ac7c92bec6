//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
)

// The flood is of requests of batchSeries series with one sample each. Each sender has its own series, and each of its rounds another time.
const (
	floodBudget   = 128 << 20
	floodOver     = 12 << 20        // what the process may take beyond its budget when the collector is late
	floodLongest  = 5 * time.Second // or, on a slow or busy machine, as long as floodAlone requests that are alone
	floodAlone    = 30
	batchSeries   = 5000
	floodSpacing  = 10 * time.Minute
	floodBatches  = 5
	stalledBodies = 100
	idleClients   = 1000
)

// A flood is what its senders were told.
type flood struct {
	t     *testing.T
	url   string
	start time.Time

	mu      sync.Mutex // guards the rest
	acked   map[floodBatch]bool
	took    []time.Duration // of those that were accepted
	refused []time.Duration
	status  map[int]int
}

type floodBatch struct{ sender, batch, round int }

// TestFlood sends far more than a server with a small budget can take: more series than fit, by many senders at once, beside bodies that stall, idle
// connections, and requests that are too large. Its memory stays within the budget, it answers everybody soon, loses nothing that it
// acknowledged, and works as before when it is over.
func TestFlood(t *testing.T) {
	b := fileBucket(t)
	s := startServer(t, "flooded", b, "--memory-budget", "128MiB")
	senders, rounds := long(40, 12), long(10, 3) // full: a million series
	f := &flood{t: t, url: s.url("/api/v1/write"), start: time.Now().Truncate(time.Second).Add(-2 * time.Hour), acked: map[floodBatch]bool{}, status: map[int]int{}}
	longest := max(floodLongest, floodAlone*f.alone(floodBatch{sender: senders + 1}))
	defer idleConnections(t, s.addr)()
	defer stallBodies(t, s.addr)()
	f.tooLarge()
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for round := range rounds {
				for batch := range floodBatches {
					f.send(floodBatch{sender, batch, round})
				}
			}
		})
	}
	wg.Wait()
	u, err := s.process().Usage()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(f.took)
	slices.Sort(f.refused)
	accepted, refused := quantile(f.took, 0.99), quantile(f.refused, 0.99)
	t.Logf("%d series; answers by status %v; accepted p50 %s p99 %s; refused p99 %s; peak RSS %d MiB",
		senders*floodBatches*batchSeries, f.status, quantile(f.took, 0.5), accepted, refused, u.PeakRSS>>20)
	if len(f.took) < senders*rounds*floodBatches/20 {
		t.Errorf("%d requests were accepted during the flood, want at least a twentieth", len(f.took))
	}
	if u.PeakRSS > floodBudget+floodOver {
		t.Errorf("peak RSS is %d MiB, want at most %d", u.PeakRSS>>20, (floodBudget+floodOver)>>20)
	}
	f.recovered(floodBatch{sender: senders})
	longest = max(longest, floodAlone*f.alone(floodBatch{sender: senders + 1, round: 3}))
	if accepted > longest || refused > longest {
		t.Errorf("accepted requests took %s and refusals %s (p99), want at most %s", accepted, refused, longest)
	}
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.check(b)
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(float64(len(sorted)-1)*q)].Round(time.Millisecond)
}

// alone is how long a request takes that is accepted while there is no other: the shortest of three, so that one that met a pause does not count.
func (f *flood) alone(b floodBatch) time.Duration {
	before := len(f.took)
	for range 3 {
		f.send(b)
		b.round++
	}
	took := slices.Clone(f.took[before:])
	f.took = f.took[:before]
	if len(took) == 0 {
		return 0
	}
	return slices.Min(took)
}

// recovered sends until a request is accepted at its first try, and fails if that takes long.
func (f *flood) recovered(b floodBatch) {
	for begin := time.Now(); ; b.round++ {
		if f.send(b); f.acked[b] {
			f.t.Logf("accepted again after %s", time.Since(begin).Round(time.Millisecond))
			return
		}
		if time.Since(begin) > 3*time.Minute {
			f.t.Fatal("nothing is accepted 3 minutes after the flood")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// send sends one batch once, and notes the answer.
func (f *flood) send(b floodBatch) {
	body := f.body(b, batchSeries)
	began := time.Now()
	status, retryAfter, text, err := f.post(body)
	took := time.Since(began)
	if err != nil {
		f.t.Errorf("%+v: %v", b, err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status[status]++
	switch {
	case status == http.StatusNoContent:
		f.acked[b] = true
		f.took = append(f.took, took)
	case (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) && retryAfter != "":
		f.refused = append(f.refused, took)
	default:
		f.t.Errorf("%+v: status %d, Retry-After %q: %s", b, status, retryAfter, text)
	}
}

func (f *flood) post(body []byte) (status int, retryAfter, text string, err error) {
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	for k, v := range writeHeader() {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get("Retry-After"), string(answer), err
}

// tooLarge sends a request that no budget of this size has room for.
func (f *flood) tooLarge() {
	status, _, text, err := f.post(f.body(floodBatch{sender: -1}, 100_000))
	if err != nil || status != http.StatusRequestEntityTooLarge || !strings.Contains(text, "send smaller batches") {
		f.t.Errorf("a request of 100,000 series: %d %s %v, want 413", status, text, err)
	}
}

// body is the request of a batch, with labels as long as they are in life.
func (f *flood) body(b floodBatch, series int) []byte {
	at := f.start.Add(time.Duration(b.round) * floodSpacing).UnixMilli()
	field := func(dst []byte, tag byte, value string) []byte {
		return append(binary.AppendUvarint(append(dst, tag), uint64(len(value))), value...)
	}
	var message []byte
	for k := range series {
		var ts []byte
		for _, l := range [][2]string{
			{"__name__", "flood"},
			{"batch", strconv.Itoa(b.batch)},
			{"cluster", "a-cluster-with-an-ordinary-name"},
			{"id", strconv.Itoa(k)},
			{"instance", fmt.Sprintf("10.0.%d.%d:9100", b.sender, k/100)},
			{"namespace", "a-namespace-with-an-ordinary-name"},
			{"pod", fmt.Sprintf("a-pod-with-an-ordinary-name-%08x", k/100*7919)},
			{"sender", strconv.Itoa(b.sender)},
		} {
			ts = field(ts, 1<<3|2, string(field(field(nil, 1<<3|2, l[0]), 2<<3|2, l[1])))
		}
		sample := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(float64(k)))
		sample = binary.AppendUvarint(append(sample, 2<<3), uint64(at))
		message = field(message, 1<<3|2, string(field(ts, 2<<3|2, string(sample))))
	}
	return snappy.Encode(nil, message)
}

var floodLine = regexp.MustCompile(`batch="(\d+)", sender="(\d+)"\}\s+(\d+)`)

// check asks the bucket for every batch that was acknowledged.
func (f *flood) check(b bucket) {
	rounds := map[int]bool{}
	for k := range f.acked {
		rounds[k.round] = true
	}
	found := map[floodBatch]int{}
	for round := range rounds {
		at := f.start.Add(time.Duration(round) * floodSpacing).Unix()
		out, err := runVarve(f.t, b, "query", "count by (sender, batch) (flood)", "--bucket", b.url, "--time", strconv.FormatInt(at, 10))
		if err != nil {
			f.t.Fatal(err)
		}
		for _, m := range floodLine.FindAllStringSubmatch(out, -1) {
			batch, _ := strconv.Atoi(m[1])
			sender, _ := strconv.Atoi(m[2])
			found[floodBatch{sender, batch, round}], _ = strconv.Atoi(m[3])
		}
	}
	lost := 0
	for k := range f.acked {
		if found[k] != batchSeries {
			lost++
			f.t.Errorf("%+v was acknowledged and has %d of %d series", k, found[k], batchSeries)
		}
	}
	f.t.Logf("%d of %d acknowledged requests are in the bucket", len(f.acked)-lost, len(f.acked))
}

// idleConnections opens connections that say nothing.
func idleConnections(t *testing.T, addr string) (closeAll func()) {
	var all []net.Conn
	for range idleClients {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return func() {
		for _, c := range all {
			c.Close()
		}
	}
}

// stallBodies sends the beginnings of large bodies and nothing after them.
func stallBodies(t *testing.T, addr string) (closeAll func()) {
	var all []net.Conn
	for k := range stalledBodies {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		body := append(binary.AppendUvarint(nil, 3<<20), make([]byte, k%2*10_000)...)
		if _, err := fmt.Fprintf(c, "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 1<<20, body); err != nil {
			t.Log(err) // it may have been refused already
		}
	}
	return func() {
		for _, c := range all {
			c.Close()
		}
	}
}
