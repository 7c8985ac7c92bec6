package sim

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is not a number", name, s)
	}
	return n
}

// TestSim runs SIM_STEPS steps (20,000) from SIM_SEED (drawn from the clock); with SIM_EPISODE that one alone, and tells all of it.
func TestSim(t *testing.T) {
	seed := setting(t, "SIM_SEED", uint64(time.Now().UnixNano()))
	if os.Getenv("SIM_EPISODE") != "" {
		replayEpisode(t, seed, int(setting(t, "SIM_EPISODE", 0)))
		return
	}
	steps := int(setting(t, "SIM_STEPS", 20_000))
	last := time.Now()
	r, err := Run(seed, steps, func(r Report) {
		if time.Since(last) > 30*time.Second {
			last = time.Now()
			t.Logf("%d of %d steps", r.Steps, steps)
		}
	})
	t.Log(r)
	if err != nil {
		t.Fatalf("replay with SIM_SEED=%d: %v", seed, err)
	}
}

func replayEpisode(t *testing.T, seed uint64, number int) {
	err := RunEpisode(seed, number)
	if v := (*Violation)(nil); errors.As(err, &v) {
		t.Logf("the episode:\n%s", strings.Join(v.Trace, "\n"))
		t.Fatal(v.Err)
	}
}

// TestReplay proves that a seed determines a run.
func TestReplay(t *testing.T) {
	a, errA := Run(7, 1000, nil)
	b, errB := Run(7, 1000, nil)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if a.String() != b.String() {
		t.Errorf("two runs of one seed differ:\n%v\n%v", a, b)
	}
}
