//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// writeHeader is what Prometheus sends with remote write 1.0.
func writeHeader() map[string]string {
	return map[string]string{
		"Content-Type":                      "application/x-protobuf",
		"Content-Encoding":                  "snappy",
		"X-Prometheus-Remote-Write-Version": "0.1.0",
	}
}

func encodeWrite(t *testing.T, w *prompb.WriteRequest) []byte {
	t.Helper()
	raw, err := w.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

// An ack is one request that the server answered with success, and when.
type ack struct {
	at   time.Time
	t    int64
	sent *writer
}

// A writer sends a few series again and again, each time with a new timestamp and a value that follows from
// it, and remembers what was acknowledged. That is the oracle of what must be found later.
type writer struct {
	t      *testing.T
	name   string
	series int

	mu    sync.Mutex // guards all below
	lastT int64
	acks  []ack
	tried map[int64]bool // timestamps ever sent; whatever is found must be one of these
}

func newWriter(t *testing.T, name string, series int) *writer {
	return &writer{t: t, name: name, series: series, tried: map[int64]bool{}}
}

// value is what the writer sends for a series at a time.
func (w *writer) value(series int, t int64) float64 { return float64(t%1_000_000) + float64(series)/64 }

func (w *writer) labels(series int) []prompb.Label {
	return []prompb.Label{
		{Name: "__name__", Value: "e2e_value"},
		{Name: "series", Value: strconv.Itoa(series)},
		{Name: "writer", Value: w.name},
	}
}

// write sends one sample of each series to url and notes the answer.
func (w *writer) write(ctx context.Context, url string) error {
	w.mu.Lock()
	w.lastT = max(w.lastT+1, time.Now().UnixMilli())
	t := w.lastT
	w.tried[t] = true
	w.mu.Unlock()

	req := &prompb.WriteRequest{}
	for i := range w.series {
		req.Timeseries = append(req.Timeseries, prompb.TimeSeries{Labels: w.labels(i), Samples: []prompb.Sample{{Timestamp: t, Value: w.value(i, t)}}})
	}
	status, body, err := call(ctx, http.MethodPost, url, writeHeader(), bytes.NewReader(encodeWrite(w.t, req)))
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("write: status %d: %s", status, body)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acks = append(w.acks, ack{at: time.Now(), t: t, sent: w})
	return nil
}

// run writes until ctx ends; requests that fail are left out, as a sender that gives up would.
func (w *writer) run(ctx context.Context, url string, pause time.Duration) {
	for ctx.Err() == nil {
		if err := w.write(ctx, url); err != nil {
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(pause)
	}
}

func (w *writer) acknowledged() []ack {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]ack(nil), w.acks...)
}

// check compares what a reader found with the acknowledgements: each one of must is there with all its series, every
// value found was sent, and nothing is there that was never tried. It returns how many of the acknowledged requests were found.
func (w *writer) check(found contents, must func(ack) bool) (kept, lost int) {
	w.t.Helper()
	series := make([]map[int64]uint64, w.series)
	for i := range series {
		series[i] = found.byTime(w.key(i))
		for t, bits := range series[i] {
			switch {
			case !w.tried[t]:
				w.t.Fatalf("%s: series %d has a sample at %d that was never sent", w.name, i, t)
			case bits != math.Float64bits(w.value(i, t)):
				w.t.Fatalf("%s: series %d at %d is %v, sent was %v", w.name, i, t, math.Float64frombits(bits), w.value(i, t))
			}
		}
	}
	missing, needed := 0, 0
	for _, a := range w.acknowledged() {
		if must(a) {
			needed++
		}
		whole := true
		for i := range series {
			_, ok := series[i][a.t]
			whole = whole && ok
		}
		switch {
		case whole:
			kept++
		case must(a):
			missing++
		default:
			lost++
		}
	}
	if needed == 0 {
		w.t.Errorf("%s: no acknowledged request of %d must be there, so this proves nothing", w.name, kept+lost)
	}
	if missing > 0 {
		w.t.Errorf("%s: %d acknowledged requests that must be there are not (%d are)", w.name, missing, kept)
	}
	return kept, lost
}

// key is the label set of a series in the form of contents.
func (w *writer) key(series int) string {
	m := map[string]string{}
	for _, l := range w.labels(series) {
		m[l.Name] = l.Value
	}
	return keyOf(m)
}

func always(ack) bool { return true }
