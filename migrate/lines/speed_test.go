package lines

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// BenchmarkText sorts lines in no order over three days, thirty of a series, with a fifth of the memory that there is for five times as many. It reports samples per CPU-second.
func BenchmarkText(b *testing.B) {
	const lines = 600_000
	rng := rand.New(rand.NewPCG(1, 2))
	var body bytes.Buffer
	for range lines {
		n := rng.IntN(20_000)
		fmt.Fprintf(&body, "http_requests_total%d{job=\"api\",instance=\"10.0.%d.%d:9090\",handler=\"/api/v1/query\",code=\"200\",n=\"%d\"} %d %d\n", n%50, n%7, n%251, n,
			rng.IntN(100_000), migratetest.FirstDay.Range().MinMs+rng.Int64N(3*model.MsPerDay))
	}
	b.ResetTimer()
	before := migratetest.CPU()
	samples := 0
	for b.Loop() {
		s := newFiles(textFormat{}, nil, migrate.NewSkips(true), &FileOptions{TempDir: b.TempDir(), SortBytes: 26 << 20})
		s.begin()
		f := s.newFile("x", bytes.NewReader(body.Bytes()), model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, func(labels.Labels) bool { return true })
		if err := s.format.read(b.Context(), f); err != nil {
			b.Fatal(err)
		}
		if err := s.sorter.Finish(); err != nil {
			b.Fatal(err)
		}
		c := &model.Columns{}
		for day := range s.sorter.Counts() {
			for series, err := range s.sorter.Series(b.Context(), day) {
				if err != nil {
					b.Fatal(err)
				}
				c.Reset()
				if err := series.Samples(c, day.Range()); err != nil {
					b.Fatal(err)
				}
				samples += c.Len()
			}
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(samples)/(migratetest.CPU()-before), "samples/cpu-s")
}
