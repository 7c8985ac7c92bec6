package sim

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
)

// episodeSteps is the mean length of an episode.
const episodeSteps = 250

// Report is what a run did.
type Report struct {
	Seed     uint64
	Steps    int
	Episodes int
	// Counts are the steps by kind.
	Counts map[string]int
	// Samples are those that were sent.
	Samples int
}

func (r Report) String() string {
	names := make([]string, 0, len(r.Counts))
	for name := range r.Counts {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d steps in %d episodes, %d samples", r.Seed, r.Steps, r.Episodes, r.Samples)
	for _, name := range names {
		fmt.Fprintf(&b, ", %s %d", name, r.Counts[name])
	}
	return b.String()
}

// Violation is a broken promise, with what led to it.
type Violation struct {
	Seed    uint64
	Episode int
	Step    int
	Err     error
	// Trace is the episode so far, a line a step.
	Trace []string
}

func (v *Violation) Error() string {
	const last = 60
	trace := v.Trace
	if len(trace) > last {
		trace = trace[len(trace)-last:]
	}
	return fmt.Sprintf("seed %d, episode %d, step %d: %v\n%s", v.Seed, v.Episode, v.Step, v.Err, strings.Join(trace, "\n"))
}

func (v *Violation) Unwrap() error { return v.Err }

// Run simulates the given number of steps. The error is a *Violation. The same seed and steps give the same run. progress, if
// not nil, is called after each episode.
func Run(seed uint64, steps int, progress func(Report)) (Report, error) {
	r := Report{Seed: seed, Counts: map[string]int{}}
	for r.Steps < steps {
		w := episode(seed, r.Episodes)
		r.Steps += w.steps
		for name, n := range w.counts {
			r.Counts[name] += n
		}
		r.Samples += len(w.oracle.writes)
		if err := w.outcome(seed, r.Episodes); err != nil {
			return r, err
		}
		r.Episodes++
		if progress != nil {
			progress(r)
		}
	}
	return r, nil
}

// RunEpisode replays one episode of a seed.
func RunEpisode(seed uint64, number int) error { return episode(seed, number).outcome(seed, number) }

// episode runs one episode. It depends on the seed and its number alone, so that it can be replayed without those before it.
func episode(seed uint64, number int) *world {
	w := newWorld(rand.New(rand.NewPCG(seed, uint64(number))))
	length := episodeSteps/2 + w.rng.IntN(episodeSteps)
	for w.steps < length && w.violation == nil {
		w.step()
	}
	if w.violation == nil {
		w.settle()
	}
	return w
}

func (w *world) outcome(seed uint64, number int) error {
	if w.violation == nil {
		return nil
	}
	return &Violation{Seed: seed, Episode: number, Step: w.steps, Err: w.violation, Trace: w.trace}
}
