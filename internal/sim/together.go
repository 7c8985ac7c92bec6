package sim

import (
	"strings"

	"github.com/varvedb/varve/blob/faultblob"
)

// task is something that goes on beside others, one of them at a time: each gives way before some of its calls of the bucket, and a draw says who goes on.
// Other than with others, nobody has to be done before the one he interrupted goes on.
type task struct {
	// oneIn: one in that many calls gives way.
	oneIn        int
	resume, gave chan struct{}
	// asleep is for how many turns of the others it was paused.
	asleep   int
	done     bool
	panicked any
}

// maxAsleep bounds a pause. A worker takes some ten turns to look at everything.
const maxAsleep = 60

// together runs all of the tasks to their ends, interleaved at the calls of the bucket.
func (w *world) together(runs ...func()) {
	oneIn := 1 + w.rng.IntN(6)
	var tasks []*task
	for _, run := range runs {
		t := &task{oneIn: oneIn, resume: make(chan struct{}), gave: make(chan struct{})}
		tasks = append(tasks, t)
		go t.run(run)
	}
	w.depth++
	outer := w.task
	for len(tasks) > 0 {
		n := w.next(tasks)
		w.task = tasks[n]
		tasks[n].resume <- struct{}{}
		<-tasks[n].gave
		w.task = outer
		if p := tasks[n].panicked; p != nil {
			panic(p)
		}
		if tasks[n].done {
			tasks = append(tasks[:n], tasks[n+1:]...)
		}
	}
	w.depth--
}

// next draws one of those that are awake, or of all if none is.
func (w *world) next(tasks []*task) int {
	var awake []int
	for n, t := range tasks {
		if t.asleep == 0 {
			awake = append(awake, n)
			continue
		}
		t.asleep--
	}
	if len(awake) == 0 {
		return w.rng.IntN(len(tasks))
	}
	return awake[w.rng.IntN(len(awake))]
}

func (t *task) run(f func()) {
	<-t.resume
	defer func() {
		t.panicked, t.done = recover(), true
		t.gave <- struct{}{}
	}()
	f()
}

// giveWay lets other tasks go on, if there are any, while the machine stands still in the middle of a call; for long now and then, and often so
// before a call that cannot be taken back: a commit or a delete.
func (w *world) giveWay(m *machine, c faultblob.Call) {
	t := w.task
	if t == nil {
		return
	}
	switch {
	case w.rng.IntN(32) == 0 || (commits(c) || c.Op == faultblob.OpDelete) && w.rng.IntN(3) == 0:
		t.asleep = w.rng.IntN(maxAsleep)
	case w.rng.IntN(t.oneIn) > 0:
		return
	}
	busy := m.busy
	m.busy = true
	t.gave <- struct{}{}
	<-t.resume
	m.busy = busy
}

// commits reports whether the call writes a catalog.
func commits(c faultblob.Call) bool { return c.Op == faultblob.OpPut && strings.Contains(c.Key, "/c/") }
