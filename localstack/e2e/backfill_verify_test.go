//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// testVerify compares what was taken over with each of the ways in which Prometheus has it: files, a server, and answers to PromQL. Then a series is deleted in the bucket, and is missed.
func (s *source) testVerify(t *testing.T) {
	b := fileBucket(t)
	backfill(t, b, "--from", "prometheus", s.snapshot)
	// Prometheus 2 counts a sample at the left end of a range, Varve as Prometheus 3 does not: no sample lies there.
	queries := []string{"--query", "past_gauge", "--query", "sum by (i) (rate(past_total[425s]))", "--query", "sum(past_gauge)", "--step", "31m"}
	verifies := func(args ...string) (string, error) {
		return runVarve(t, b, append([]string{"backfill", "verify", "--bucket", b.url}, args...)...)
	}
	for _, args := range [][]string{
		append([]string{"--exact", "--from", "prometheus", s.snapshot}, queries...),
		{"--exact", "--from", "prometheus", s.dir},
		append([]string{"--exact", "--from", "remote-read", s.url(""), "--source-url", s.url("")}, queries...),
	} {
		out, err := verifies(args...)
		if err != nil || !strings.HasSuffix(out, "\nequal\n") {
			t.Errorf("verify %v: %v\n%s", args, err, out)
		}
	}
	varve(t, b, "delete", "--bucket", b.url, "--match", `past_gauge{i="0"}`)
	out, err := verifies("--from", "prometheus", s.snapshot)
	if err == nil || !strings.Contains(out, `missing series: {__name__="past_gauge", i="0"`) {
		t.Errorf("of a deleted series verify says %v\n%s", err, out)
	}
	// Nobody writes here.
	out, err = runVarve(t, b, "backfill", "cutover", "--bucket", b.url, "--skip-verify", "--from", "prometheus", s.snapshot)
	if err == nil || !strings.Contains(out, "NOT READY") {
		t.Errorf("cutover says %v\n%s", err, out)
	}
}
