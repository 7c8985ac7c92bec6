//go:build planted

package sim

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/varvedb/varve/internal/planted"
)

// TestPlanted switches on one bug at a time: the simulator must find each within 20,000 steps from most of the seeds drawn now. Without a
// bug, the same seeds must be clean, or the finding proves nothing.
func TestPlanted(t *testing.T) {
	const (
		seeds = 5
		steps = 20_000
	)
	base := setting(t, "SIM_SEED", uint64(time.Now().UnixNano()))
	for _, bug := range []struct {
		name string
		bug  planted.Bug
	}{
		{"commit out of order", planted.CommitOutOfOrder},
		{"commit before end mark", planted.CommitBeforeEndMark},
		{"append to replayed generation", planted.AppendToReplayed},
		{"release before commit", planted.ReleaseBeforeCommit},
		{"adopt without fence", planted.AdoptWithoutFence},
		{"refused means failed", planted.RefusedMeansFailed},
		{"replace unchecked", planted.ReplaceUnchecked},
		{"merge not adjacent", planted.MergeNotAdjacent},
		{"mask after merge", planted.MaskAfterMerge},
		{"ignore dropped", planted.IgnoreDropped},
		{"delete before drop", planted.DeleteBeforeDrop},
		{"skip flushed", planted.SkipFlushed},
		{"root before catalog", planted.RootBeforeCatalog},
	} {
		t.Run(bug.name, func(t *testing.T) {
			defer planted.Plant(planted.None)
			found := 0
			for n := range uint64(seeds) {
				planted.Plant(bug.bug)
				r, err := run(base+n, steps)
				var v *Violation
				switch {
				case errors.As(err, &v):
					found++
					t.Logf("seed %d: found after %d steps: %v", base+n, r.Steps, v.Err)
					planted.Plant(planted.None)
					if err := RunEpisode(base+n, v.Episode); err != nil {
						t.Errorf("seed %d: the same episode fails without the bug: %v", base+n, err)
					}
				case err != nil:
					t.Errorf("seed %d: %v", base+n, err)
				}
			}
			if found < 3 {
				t.Errorf("found from %d of %d seeds from %d on", found, seeds, base)
			}
		})
	}
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
