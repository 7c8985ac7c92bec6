package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/protocol/remotewrite"
)

// flatten lists the samples of a request with their series, each by its sorted labels.
func flatten(w *prompb.WriteRequest) (out []string) {
	for _, ts := range w.Timeseries {
		slices.SortFunc(ts.Labels, func(a, b prompb.Label) int {
			if a.Name < b.Name {
				return -1
			}
			return 1
		})
		text := ""
		for _, l := range ts.Labels {
			text += l.Name + "=" + l.Value + ","
		}
		for _, s := range ts.Samples {
			out = append(out, fmt.Sprintf("%s %d %x", text, s.Timestamp, s.Value))
		}
	}
	return out
}

// TestWireForms: whatever the form, Prometheus' own decoder and ours find the same samples of the same series.
func TestWireForms(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	options := func(wire string) *workloadOptions {
		f, err := parseWire(wire)
		if err != nil {
			t.Fatal(err)
		}
		return &workloadOptions{seed: 3, targets: 2, metrics: 50, span: 10 * time.Minute, batch: 100, interval: time.Minute, wire: f}
	}
	want := generatedLoad(options(""), 1, now)
	decoder := remotewrite.NewDecoder(nil)
	sizes := map[int64]string{want.bytes: "sorted"}
	for _, wire := range []string{"permuted", "shuffled", "unknown", "extra", "wide", "swapped", "shuffled,unknown,extra,wide,swapped"} {
		l := generatedLoad(options(wire), 1, now)
		if other := sizes[l.bytes]; other != "" {
			t.Errorf("%s has as many bytes as %s", wire, other)
		}
		sizes[l.bytes] = wire
		for i, r := range l.senders[0] {
			sent := flatten(decode(t, want.senders[0][i]))
			if got := flatten(decode(t, r)); !slices.Equal(got, sent) {
				t.Fatalf("%s: Prometheus decodes request %d as other samples", wire, i)
			}
			req, err := decoder.Decode(r.body)
			if err != nil {
				t.Fatal(wire, err)
			}
			if len(req.Batch.Samples) != len(sent) || len(req.Rejected) > 0 {
				t.Fatalf("%s: %d samples, %d rejected, want %d", wire, len(req.Batch.Samples), len(req.Rejected), len(sent))
			}
			req.Release()
		}
	}
	if _, err := parseWire("odd"); err == nil {
		t.Error("an unknown form is accepted")
	}
}

// TestDays: the days of a load have all its requests, each in its day, in order.
func TestDays(t *testing.T) {
	o := &workloadOptions{seed: 3, targets: 2, metrics: 50, span: 72 * time.Hour, batch: 100, interval: 30 * time.Minute}
	l := generatedLoad(o, 2, time.UnixMilli(1_700_000_000_000))
	days := l.days()
	if len(days) != 3 {
		t.Fatalf("%d days, want 3", len(days))
	}
	var samples int64
	requests, last := 0, int64(0)
	for _, d := range days {
		samples += d.samples
		requests += d.requests()
		for _, r := range d.senders[0] {
			if r.at < last {
				t.Fatal("requests are out of order")
			}
			last = r.at
		}
	}
	if samples != l.samples || requests != l.requests() {
		t.Fatalf("%d samples in %d requests, want %d in %d", samples, requests, l.samples, l.requests())
	}
}
