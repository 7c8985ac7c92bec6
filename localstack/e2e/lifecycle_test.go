//go:build e2e

package e2e

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/emulator"
)

// TestLifecycle merges a day of small flushes with two workers at once, on each kind of cloud: the answer stays what it was.
func TestLifecycle(t *testing.T) {
	for _, b := range append(clouds(t, emulator.Kinds()...), fileBucket(t)) {
		t.Run(b.name, func(t *testing.T) {
			s := startServer(t, "flushes", b, "--lifecycle=false")
			noon := time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour)
			const flushes = 56
			for n := range flushes {
				send(t, s, noon.Add(time.Duration(n)*2*time.Minute), 3) // a minute is written twice
				if err := s.flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			ask := func() string {
				end := noon.Add(2 * flushes * time.Minute)
				return varve(t, b, "query", "--bucket", b.url, "--start", strconv.FormatInt(noon.Unix(), 10), "--end", strconv.FormatInt(end.Unix(), 10),
					"--step", "1m", "--json", `sum by (series) (rate(e2e_cold[5m])) + count_over_time(e2e_other{series="7"}[10m])`)
			}
			want := ask()
			type report struct {
				Jobs         int      `json:"jobs"`
				InputBlocks  int      `json:"input_blocks"`
				OutputBlocks int      `json:"output_blocks"`
				Quarantined  []string `json:"quarantined"`
				Failures     []string `json:"failures"`
			}
			reports := make(chan report, 2)
			for range cap(reports) {
				go func() {
					var r report
					out, err := runVarve(t, b, "lifecycle", "--bucket", b.url, "--once", "--json")
					if err == nil {
						err = json.Unmarshal([]byte(out), &r)
					}
					if err != nil {
						t.Error(err)
					}
					reports <- r
				}()
			}
			jobs := 0
			for range cap(reports) {
				r := <-reports
				jobs += r.Jobs
				if len(r.Quarantined)+len(r.Failures) > 0 {
					t.Errorf("%+v", r)
				}
			}
			if jobs == 0 {
				t.Error("nothing was merged")
			}
			if got := ask(); got != want {
				t.Errorf("another answer after the merge:\n%.500s\nbefore:\n%.500s", got, want)
			}
		})
	}
}
