package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// world is one episode.
type world struct {
	rng      *rand.Rand
	bucket   *mem.Driver
	nowMs    int64
	oracle   *oracle
	machines []*machine
	depth    int
	// task is the one that goes on, nil if there is only one thing to do.
	task  *task
	disks int
	value float64
	// deletes counts them; unfinished is one that failed; lastFlush is what the last flush of a machine ended with.
	deletes    int
	unfinished *deletion
	lastFlush  error
	// retained: a tenant has a retention.
	retained bool
	// settling: faults have ended.
	settling bool
	// rollups is how long they are kept; "" makes none.
	rollups lifecycle.Age
	// wild: clocks of workers may be days off.
	wild bool
	// snapshots are those that there are.
	snapshots []keptSnapshot
	// goingSnapshots are ids of those whose deletion was begun.
	goingSnapshots map[uint64]bool
	// violation is the first broken promise.
	violation error
	// trace is what was done, newest last.
	trace []string
	// steps and counts are for the report.
	steps  int
	counts map[string]int
}

var tenants = []string{"a", "b"}

func newWorld(rng *rand.Rand) *world {
	w := &world{
		rng: rng, oracle: newOracle(), counts: map[string]int{}, goingSnapshots: map[uint64]bool{},
		nowMs: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC).UnixMilli(),
	}
	w.bucket = mem.NewAt(func() time.Time { return time.UnixMilli(w.nowMs) })
	w.wild = rng.IntN(4) == 0
	if rng.IntN(3) > 0 {
		w.rollups = "120d"
	}
	for n := range 1 + rng.IntN(3) {
		w.machines = append(w.machines, w.newMachine(string(rune('p'+n))))
	}
	return w
}

// note adds a line to the trace.
func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, strings.Repeat("  ", w.depth)+fmt.Sprintf(format, args...))
}

func (w *world) broken(format string, args ...any) {
	if w.violation == nil {
		w.violation = fmt.Errorf(format, args...)
		w.note("VIOLATION: %v", w.violation)
	}
}

// textLabels decodes the keys of the simulation: name=value pairs with NUL between.
type textLabels struct{}

func (textLabels) Name() string { return "sim" }

func (textLabels) Decode(key []byte, b *labels.ScratchBuilder) error {
	for _, kv := range strings.Split(string(key), "\x00") {
		name, value, _ := strings.Cut(kv, "=")
		b.Add(name, value)
	}
	return nil
}

// append sends one request to the machine: a few samples, new and old, in order and not, some for the second time.
func (w *world) append(m *machine) {
	tenant := tenants[w.rng.IntN(len(tenants))]
	var keys []key
	for range 1 + w.rng.IntN(5) {
		keys = append(keys, w.pick(m, tenant))
	}
	w.send(m, tenant, keys)
}

// appendAgain writes some of what the machine has written before.
func (w *world) appendAgain(m *machine) {
	for _, tenant := range tenants {
		var keys []key
		for _, k := range m.keys {
			if k.tenant == tenant && w.rng.IntN(4) == 0 {
				keys = append(keys, k)
			}
		}
		if len(keys) > 0 {
			w.send(m, tenant, keys)
		}
	}
}

// send sends one request with new values for the samples.
func (w *world) send(m *machine, tenant string, keys []key) {
	byKey := map[key]float64{}
	var order []key
	for _, k := range keys {
		if _, twice := byKey[k]; !twice {
			w.value++
			byKey[k] = w.value
			order = append(order, k)
		}
	}
	b := &model.Batch{Labels: textLabels{}}
	for _, k := range order {
		b.Series = append(b.Series, model.BatchSeries{Key: []byte("__name__=" + k.series + "\x00disk=" + m.disk), First: int32(len(b.Samples)), Count: 1})
		b.Samples = append(b.Samples, model.Sample{T: k.t, V: byKey[k]})
		w.oracle.wrote(m.disk, k, byKey[k], false, false)
		if ws := w.oracle.writes[k]; w.mayExpire(k) {
			ws[len(ws)-1].fate = max(ws[len(ws)-1].fate, unsure)
		}
	}
	_, err := m.ing.Append(context.Background(), tenant, b)
	w.note("%s append %v = %v: %v", m.disk, order, byKey[order[0]], err)
	if err == nil {
		m.keys = append(m.keys, order...)
		for _, k := range order {
			ws := w.oracle.writes[k]
			ws[len(ws)-1].acked = true
			ws[len(ws)-1].shipped = m.cfg.Mode == ingester.ModeObject
		}
	}
	w.after(m, "append", err)
}

// pick draws a sample to write: mostly new.
func (w *world) pick(m *machine, tenant string) key {
	if len(m.keys) > 0 && w.rng.IntN(6) == 0 {
		if k := m.keys[w.rng.IntN(len(m.keys))]; k.tenant == tenant {
			return k
		}
	}
	t := w.nowMs + int64(w.rng.IntN(1000))
	switch w.rng.IntN(8) {
	case 0:
		t -= int64(w.rng.IntN(100_000)) // out of order
	case 1:
		t += model.MsPerDay
	case 2:
		t -= model.MsPerDay
	case 3:
		t -= 3 * model.MsPerDay
	}
	return key{tenant, fmt.Sprintf("s%d_%s", w.rng.IntN(6), m.disk), t}
}

// after looks at what a step of a machine ended with, and carries out the death that a fault brought.
func (w *world) after(m *machine, what string, err error) {
	w.counts[what]++
	if m.fate == noFault {
		if err != nil && !allowed(err) {
			w.broken("%s: %s: unexpected error: %w", m.disk, what, err)
		}
		return
	}
	w.note("%s dies (%d)", m.disk, m.fate)
	if m.fate == powerLost {
		w.powerOff(m)
	} else {
		w.stop(m)
	}
	m.fate, m.files, m.calls = noFault, plan{}, plan{}
}
