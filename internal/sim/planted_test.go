//go:build planted

package sim

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/varvedb/varve/internal/planted"
)

// plantedBugs are those of the list that the simulator is held to, in its order.
var plantedBugs = []struct {
	name string
	bug  planted.Bug
}{
	{"release WAL before commit", planted.ReleaseBeforeCommit},
	{"skip the flushed check", planted.SkipFlushed},
	{"ignore dropped", planted.IgnoreDropped},
	{"delete before the drop", planted.DeleteBeforeDrop},
	{"refused means failed", planted.RefusedMeansFailed},
	{"replace unchecked", planted.ReplaceUnchecked},
	{"merge not adjacent", planted.MergeNotAdjacent},
	{"mask after merge", planted.MaskAfterMerge},
	{"adopt without a fence", planted.AdoptWithoutFence},
	{"root before catalog", planted.RootBeforeCatalog},
	{"commit out of order", planted.CommitOutOfOrder},
	{"commit before the end mark", planted.CommitBeforeEndMark},
	{"append to a replayed generation", planted.AppendToReplayed},
}

// TestPlanted switches on one bug at a time: the simulator must find each within 20,000 steps, from at least 3 of 5 seeds drawn now. Without the
// bug the same episode must be clean, or the finding proves nothing. With SIM_FOUND=n it goes on to the next bug after n findings.
func TestPlanted(t *testing.T) {
	const (
		seeds    = 5
		required = 3
		steps    = 20_000
	)
	base := setting(t, "SIM_SEED", uint64(time.Now().UnixNano()))
	enough := min(seeds, int(setting(t, "SIM_FOUND", seeds)))
	for _, bug := range plantedBugs {
		t.Run(bug.name, func(t *testing.T) {
			defer planted.Plant(planted.None)
			found, tried := 0, 0
			for ; tried < seeds && found < enough; tried++ {
				if find(t, bug.bug, base+uint64(tried), steps) {
					found++
				}
			}
			if found < min(required, enough) {
				t.Errorf("found from %d of %d seeds from %d on", found, tried, base)
			}
			t.Logf("found from %d of %d seeds", found, tried)
		})
	}
}

// find runs the simulator with the bug, and then the episode that found it without.
func find(t *testing.T, bug planted.Bug, seed uint64, steps int) bool {
	t.Helper()
	planted.Plant(bug)
	r, err := run(seed, steps)
	var v *Violation
	if !errors.As(err, &v) {
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		return false
	}
	t.Logf("seed %d: found after %d steps: %v", seed, r.Steps, v.Err)
	planted.Plant(planted.None)
	if err := RunEpisode(seed, v.Episode); err != nil {
		t.Errorf("seed %d: the same episode fails without the bug: %v", seed, err)
	}
	return true
}

// run turns a panic, which is how a broken invariant may show first, into a finding.
func run(seed uint64, steps int) (r Report, err error) {
	episode := 0
	defer func() {
		if p := recover(); p != nil {
			err = &Violation{Seed: seed, Episode: episode, Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	return Run(seed, steps, func(r Report) { episode = r.Episodes })
}
