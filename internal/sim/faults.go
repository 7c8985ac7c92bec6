package sim

import (
	"errors"
	"syscall"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/internal/vfs/memfs"
)

// errDisk is what a faulty disk answers.
var errDisk = errors.New("sim: disk fault")

// fault is one thing that can happen to a call.
type fault int

const (
	noFault fault = iota
	// killed and powerLost end the process at the call.
	killed
	powerLost
	// failed does not execute the call; for files it waits for a sync.
	failed
	// full cuts the call and the next ones short, as a full disk does. Files only.
	full
	// unanswered executes the call and loses the answer. Bucket only.
	unanswered
	// killedAfter executes the call, and the process ends before the answer. Bucket only.
	killedAfter
	// othersFirst lets the others take some steps before the call goes on: the process was paused here.
	othersFirst
)

var (
	fileFaults   = []fault{killed, powerLost, failed, failed, full, othersFirst}
	bucketFaults = []fault{killed, powerLost, failed, unanswered, unanswered, killedAfter, othersFirst, othersFirst, othersFirst}
)

// plan is a fault that waits for its call.
type plan struct {
	fault fault
	// in is how many calls pass before it.
	in int
	// calls is how many calls it lasts.
	calls int
}

// due counts a call and reports whether the fault happens to it.
func (p *plan) due() bool {
	if p.fault == noFault {
		return false
	}
	if p.in > 0 {
		p.in--
		return false
	}
	return true
}

func (p *plan) done() {
	if p.calls--; p.calls <= 0 {
		*p = plan{}
	}
}

// hookUp puts the machine's plans behind its file and bucket calls.
func (w *world) hookUp(m *machine) {
	m.fs.SetHook(func(c memfs.Call) error { return w.fileCall(m, c) })
	m.bucket.SetHook(func(c faultblob.Call) faultblob.Action { return w.bucketCall(m, c) })
}

func (w *world) fileCall(m *machine, c memfs.Call) error {
	if !m.files.due() {
		return nil
	}
	switch m.files.fault {
	case killed, powerLost:
		m.fate = m.files.fault
		m.bucket.Crash()
		m.files.done()
		return memfs.ErrCrashed
	case failed:
		if c.Op != memfs.OpSync && c.Op != memfs.OpSyncDir {
			return nil
		}
		m.files.done()
		return errors.Join(errDisk, syscall.EIO)
	case full:
		if c.Op != memfs.OpWrite && c.Op != memfs.OpCreate {
			return nil
		}
		m.files.done()
		if c.Op == memfs.OpWrite {
			return &memfs.ShortWrite{N: c.Size / 2, Err: errors.Join(errDisk, syscall.ENOSPC)}
		}
		return errors.Join(errDisk, syscall.ENOSPC)
	case othersFirst:
		m.files.done()
		w.others(m)
	}
	return nil
}

func (w *world) bucketCall(m *machine, c faultblob.Call) faultblob.Action {
	w.giveWay(m, c)
	f := noFault
	switch {
	case m.calls.due():
		f = m.calls.fault
		m.calls.done()
	case commits(c) && !w.settling:
		f = w.commitFault()
	}
	switch f {
	case killed, powerLost, killedAfter:
		m.fate = f
		if m.fs != nil {
			m.fs.SetHook(func(memfs.Call) error { return memfs.ErrCrashed })
		}
		if f == killedAfter {
			return faultblob.Action{Kind: faultblob.CrashAfter}
		}
		return faultblob.Action{Kind: faultblob.CrashBefore}
	case failed:
		return faultblob.Action{Kind: faultblob.Fail}
	case unanswered:
		return faultblob.Action{Kind: faultblob.LoseAnswer}
	case othersFirst:
		w.others(m)
	}
	return faultblob.Action{}
}

// commitFault draws what happens to a commit for which nothing was planned: those whose answer is lost, or who never get it, go wrong in more ways than others.
func (w *world) commitFault() fault {
	switch w.rng.IntN(60) {
	case 0:
		return unanswered
	case 1:
		return killedAfter
	}
	return noFault
}

// others lets the world go on for some steps while the machine stands still in the middle of a call.
func (w *world) others(m *machine) {
	if w.depth >= maxDepth {
		return
	}
	busy := m.busy
	m.busy = true
	w.depth++
	w.someSteps()
	w.depth--
	m.busy = busy
}

func (w *world) someSteps() {
	for range 1 + w.rng.IntN(12) {
		if w.violation == nil {
			w.step()
		}
	}
}

// maxDepth bounds how many processes stand still at one time.
const maxDepth = 2

// arm draws a fault for one of the machine's next calls.
func (w *world) arm(m *machine) {
	p := plan{in: w.rng.IntN(12), calls: 1}
	if w.rng.IntN(2) == 0 {
		p.fault = fileFaults[w.rng.IntN(len(fileFaults))]
		if p.fault == full {
			p.calls = 1 + w.rng.IntN(6)
		}
		m.files = p
		return
	}
	p.fault = bucketFaults[w.rng.IntN(len(bucketFaults))]
	if p.fault == failed || p.fault == unanswered {
		p.calls = 1 + w.rng.IntN(4)
	}
	m.calls = p
}
