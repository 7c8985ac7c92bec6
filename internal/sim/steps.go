package sim

import (
	"context"
	"slices"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/ingester"
)

// action is one kind of step, drawn with its weight.
type action struct {
	weight int
	run    func(w *world)
}

// step does one thing.
func (w *world) step() {
	w.steps++
	n := w.rng.IntN(totalWeight)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			a.run(w)
			return
		}
	}
}

var (
	actions     []action
	totalWeight int
)

func init() {
	ctx := context.Background()
	actions = []action{
		{40, onRunning(func(w *world, m *machine) { w.append(m) })},
		{12, onRunning(func(w *world, m *machine) { w.ship(m) })},
		{6, machineStep("rotate", func(i *ingester.Ingester) error { return i.Rotate(ctx) })},
		{4, machineStep("rotate step", func(i *ingester.Ingester) error { _, err := i.RotateStep(ctx); return err })},
		{10, machineStep("build", func(i *ingester.Ingester) error { _, err := i.BuildStep(ctx); return err })},
		{16, machineStep("flush step", func(i *ingester.Ingester) error { _, err := i.FlushStep(ctx); return err })},
		{6, machineStep("release", func(i *ingester.Ingester) error { _, err := i.ReleaseStep(ctx); return err })},
		{4, machineStep("enter", func(i *ingester.Ingester) error { _, err := i.EnterStep(ctx); return err })},
		{6, machineStep("fence", func(i *ingester.Ingester) error { _, err := i.FenceStep(ctx); return err })},
		{2, onRunning(func(w *world, m *machine) { w.flush(m) })},
		{1, onRunning(func(w *world, m *machine) { w.closeDown(m) })},
		{12, onRunning(func(w *world, m *machine) { w.arm(m) })},
		{1, onRunning(func(w *world, m *machine) { m.fate = killed; w.after(m, "kill", nil) })},
		{1, onRunning(func(w *world, m *machine) { m.fate = powerLost; w.after(m, "power loss", nil) })},
		{20, onDown(func(w *world, m *machine) { w.restart(m) })},
		{1, onDown(func(w *world, m *machine) { w.loseDisk(m) })},
		{3, (*world).adopt},
		{6, func(w *world) { w.tidy(w.tidyConfig()) }},
		{2, (*world).contend},
		{1, (*world).night},
		{3, (*world).deleteSeries},
		{1, (*world).retain},
		{4, (*world).pass},
		{5, (*world).snapshot},
		{2, (*world).check},
		{3, (*world).ask},
	}
	for _, a := range actions {
		totalWeight += a.weight
	}
}

func onRunning(f func(*world, *machine)) func(*world) {
	return func(w *world) {
		if m := w.draw(func(m *machine) bool { return m.ing != nil }); m != nil {
			f(w, m)
		}
	}
}

func onDown(f func(*world, *machine)) func(*world) {
	return func(w *world) {
		if m := w.draw(func(m *machine) bool { return m.ing == nil }); m != nil {
			f(w, m)
		}
	}
}

// draw gives a machine that is not in the middle of something, if the drawn one fits.
func (w *world) draw(fits func(*machine) bool) *machine {
	m := w.machines[w.rng.IntN(len(w.machines))]
	if m.busy || !fits(m) {
		return nil
	}
	return m
}

func machineStep(what string, f func(*ingester.Ingester) error) func(*world) {
	return onRunning(func(w *world, m *machine) {
		err := f(m.ing)
		w.note("%s %s: %v", m.disk, what, err)
		w.after(m, what, err)
	})
}

func (w *world) ship(m *machine) {
	_, err := m.ing.Ship(context.Background())
	w.note("%s ship: %v", m.disk, err)
	if err == nil && m.fate == noFault {
		w.oracle.shippedAll(m.disk)
	}
	w.after(m, "ship", err)
}

func (w *world) flush(m *machine) {
	err := m.ing.Flush(context.Background())
	w.lastFlush = err
	w.note("%s flush: %v", m.disk, err)
	if err == nil {
		w.oracle.shippedAll(m.disk)
	}
	w.after(m, "flush", err)
}

func (w *world) closeDown(m *machine) {
	err := m.ing.Close(context.Background())
	w.note("%s close: %v", m.disk, err)
	if err == nil {
		w.oracle.shippedAll(m.disk)
	}
	w.after(m, "close", err)
	if m.ing != nil {
		w.stop(m)
	}
}

func (w *world) restart(m *machine) {
	// With the faults of its last life still about, or none.
	err := w.start(m)
	w.note("%s start: %v", m.disk, err)
	w.after(m, "start", err)
	if m.ing == nil && w.rng.IntN(2) == 0 {
		m.files, m.calls = plan{}, plan{}
	}
}

// loseDisk replaces a machine that is down by one with an empty disk.
func (w *world) loseDisk(m *machine) {
	w.note("%s loses its disk", m.disk)
	w.counts["disk lost"]++
	w.oracle.diskLost(m.disk)
	w.newDisk(m)
}

// adopt lets somebody take any active writer for dead, rightly or not.
func (w *world) adopt() {
	c, _ := w.components(nil, 0)
	active := w.activeWriters(c.Catalog)
	if len(active) == 0 {
		return
	}
	dead := active[w.rng.IntN(len(active))]
	tool := w.tool("adopter", 12)
	w.note("adopt %s begins", dead)
	_, err := ingester.Adopt(context.Background(), dead, tool.c)
	w.note("adopt %s: %v", dead, err)
	w.counts["adopt"]++
	if err != nil && tool.fate == noFault && !allowed(err) {
		w.broken("adopt %s: unexpected error: %w", dead, err)
	}
}

// activeWriters are the ids that may have something in their logs.
func (w *world) activeWriters(c *catalog.Store) []string {
	roster, err := c.Roster(context.Background(), nil)
	if err != nil {
		w.broken("read roster: %w", err)
		return nil
	}
	var ids []string
	for _, e := range roster.Writers {
		if e.State == catalog.Active {
			ids = append(ids, e.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// pass lets time go by, now and then longer than any grace.
func (w *world) pass() {
	if w.rng.IntN(6) == 0 {
		w.nowMs += 2 * 3600 * 1000
		return
	}
	w.nowMs += int64(1 + w.rng.IntN(60_000))
}
