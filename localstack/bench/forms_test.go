package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// BenchmarkForms takes requests of 20,000 series from their bytes into a memtable, form by form, and reports CPU time, of which other programs take
// no part.
func BenchmarkForms(b *testing.B) {
	for _, wire := range []string{"sorted", "permuted", "shuffled", "unknown", "extra", "wide", "swapped"} {
		f, err := parseWire(wire)
		if err != nil {
			b.Fatal(err)
		}
		o := &workloadOptions{seed: 1, targets: 200, metrics: 100, span: 10 * time.Minute, batch: 5000, interval: 15 * time.Second, wire: f}
		l := generatedLoad(o, 1, time.UnixMilli(1_700_000_000_000))
		b.Run(wire, func(b *testing.B) {
			decoder := remotewrite.NewDecoder(nil)
			var res memtable.Resolved
			var cpu time.Duration
			for range b.N {
				table := memtable.New(nil, nil)
				for i, r := range l.senders[0] {
					if i == 4 {
						cpu -= cpuTime() // the series are known now
					}
					req, err := decoder.Decode(r.body)
					if err != nil {
						b.Fatal(err)
					}
					if err := table.Resolve("t", &req.Batch, &res); err != nil {
						b.Fatal(err)
					}
					table.Append(&req.Batch, &res)
					req.Release()
				}
				cpu += cpuTime()
			}
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N)/float64(l.samples-4*int64(o.batch)), "cpu-ns/sample")
		})
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
