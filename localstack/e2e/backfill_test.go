//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// A backfillReport is what the summary of a backfill says, as far as these checks ask.
type backfillReport struct {
	Days    int              `json:"days"`
	Already int              `json:"days_already_complete"`
	Blocks  int              `json:"blocks"`
	Samples int64            `json:"samples"`
	Skipped map[string]int64 `json:"skipped"`
}

// backfill runs a backfill into a bucket to its end, and wants that nothing is left out.
func backfill(t *testing.T, b bucket, args ...string) backfillReport {
	t.Helper()
	r := summaryOf(t, varve(t, b, append([]string{"backfill", "--bucket", b.url, "--json"}, args...)...))
	if len(r.Skipped) > 0 {
		t.Errorf("backfill %v left out %v", args, r.Skipped)
	}
	return r
}

// summaryOf is the last line of what a backfill printed.
func summaryOf(t *testing.T, out string) backfillReport {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last struct{ Summary *backfillReport }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Summary == nil {
		t.Fatalf("no summary (%v) in %.1000s", err, out)
	}
	return *last.Summary
}

// backfillTwice runs it twice, with what is in the bucket compared with want in between, and wants that the second time does nothing.
func backfillTwice(t *testing.T, b bucket, want contents, args ...string) {
	t.Helper()
	first := backfill(t, b, args...)
	requireHolds(t, b, want)
	if _, samples, _ := want.count(); first.Samples != int64(samples) {
		t.Errorf("it took over %d samples of %d", first.Samples, samples)
	}
	if second := backfill(t, b, args...); second.Blocks != 0 || second.Samples != 0 || second.Already != first.Days {
		t.Errorf("the second time it did %+v, the first time %+v", second, first)
	}
	requireHolds(t, b, want)
}

// requireHolds wants that a bucket has each sample of want once, to the bit, and nothing else.
func requireHolds(t *testing.T, b bucket, want contents) {
	t.Helper()
	got := readBucket(t, b)
	requireEqual(t, "what was taken over", want, got.contents, false)
	if _, samples, _ := got.contents.count(); got.inBlocks != int64(samples) {
		t.Errorf("the blocks hold %d samples, of which %d are distinct", got.inBlocks, samples)
	}
}
