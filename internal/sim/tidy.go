package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// tidier is a lifecycle worker. Like an adopter it is a process of its own, with faults of its own, for the length of one step; another one may begin
// while it stands still in the middle of a call.
type tidier struct {
	*machine
	worker *lifecycle.Lifecycle
}

// newTidier makes a worker whose clock is up to skew off.
func (w *world) newTidier(cfg *lifecycle.Config, skew time.Duration) *tidier {
	t := &tidier{machine: &machine{name: "tidier", disk: "tidier"}}
	t.c, t.bucket = w.components(nil, skew)
	var err error
	t.worker, err = lifecycle.New(cfg, lifecycle.Components{
		Bucket: t.c.Bucket, Now: t.c.Now, Sleep: t.c.Sleep, Rand: t.c.Rand, Catalog: t.c.Catalog,
	})
	if err != nil {
		w.broken("make lifecycle worker: %w", err)
	}
	return t
}

// tidyConfig draws settings: workers of one bucket need not agree on them.
func (w *world) tidyConfig() *lifecycle.Config {
	cfg := &lifecycle.Config{Sequential: true, Rollups: w.rollups, Merge: lifecycle.MergeSettings{MaxBlocks: 1 + w.rng.IntN(3), MaxInputs: 2 + w.rng.IntN(6)}}
	if w.rng.IntN(4) > 0 {
		cfg.ClaimFor = time.Millisecond // claims save work and must not be needed for anything else
	}
	if w.rng.IntN(2) == 0 {
		cfg.EraseAfter = -1
	}
	if w.rng.IntN(2) == 0 {
		// So young that they may still be committed: only the drop before the delete makes that safe.
		cfg.Orphans.Age = time.Duration(1+w.rng.IntN(10_000)) * time.Millisecond
		cfg.Orphans.UnprovenAge = time.Duration(1+w.rng.IntN(60_000)) * time.Millisecond
	}
	if w.rng.IntN(3) == 0 {
		cfg.Merge.MaxOutputSeries = int64(1 + w.rng.IntN(4))
	}
	cfg.Compact = w.compactSettings()
	return cfg
}

// compactSettings draws when days become parquet. They need not be over: closing a day saves work and must not be needed for anything else.
func (w *world) compactSettings() lifecycle.CompactSettings {
	s := lifecycle.CompactSettings{
		Off: w.rng.IntN(3) == 0, WaitForWriters: -100 * 24 * time.Hour, Settle: -1,
		LateBlocks: 1 + w.rng.IntN(4), LatePercent: int64(1 + w.rng.IntN(200)), LateAfter: time.Duration(1 + w.rng.IntN(3_600_000_000_000)), MaxInputs: 2 + w.rng.IntN(8),
	}
	if w.rng.IntN(2) == 0 {
		s.MinOutputBytes, s.MaxOutputSeries = 1, int64(1+w.rng.IntN(6))
	}
	return s
}

// tidy lets a worker look at the whole bucket.
func (w *world) tidy(cfg *lifecycle.Config) { w.tidyAt(cfg, w.workerSkew()) }

// maxSkew is by how much the clocks of workers and writers differ from the world's, to either side, if they are not wild.
const (
	maxSkew     = 10 * time.Minute
	maxWildSkew = 48 * time.Hour
)

// minGraceMs is how long at least a block can be read that was live, if clocks are not wild.
const minGraceMs = int64((time.Hour - 2*maxSkew) / time.Millisecond)

func (w *world) skew() time.Duration { return time.Duration(w.rng.Int64N(int64(2*maxSkew))) - maxSkew }

// workerSkew is wild now and then: a clock days off costs work, and must not cost samples.
func (w *world) workerSkew() time.Duration {
	if w.wild && w.rng.IntN(3) == 0 {
		return time.Duration(w.rng.Int64N(int64(2*maxWildSkew))) - maxWildSkew
	}
	return w.skew()
}

func (w *world) tidyAt(cfg *lifecycle.Config, skew time.Duration) {
	t := w.newTidier(cfg, skew)
	rival := 0
	if w.depth < maxDepth && w.rng.IntN(4) > 0 {
		rival = 4 + w.rng.IntN(24)
	}
	t.bucket.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.N == rival {
			w.race(t.machine)
		}
		return w.bucketCall(t.machine, c)
	})
	if w.rng.IntN(2) > 0 {
		t.calls = plan{fault: bucketFaults[w.rng.IntN(len(bucketFaults))], in: w.rng.IntN(30), calls: 1}
	}
	w.note("tidy begins")
	w.counts["tidy"]++
	r, err := t.worker.Once(context.Background())
	w.note("tidy: %s: %v", brief(&r), err)
	w.counts["merge"] += r.Jobs
	w.counts["merge lost"] += r.Lost
	w.counts["compaction"] += r.Compactions
	w.counts["rollup"] += r.Rollups
	w.counts["collected blocks"] += r.Collected
	w.counts["orphans"] += r.Orphans
	w.counts["erasure"] += r.Erasures
	w.counts["masked"] += r.Masked
	w.counts["expired blocks"] += r.Expired
	if err != nil && t.fate == noFault && !allowed(err) {
		w.broken("tidy: unexpected error: %w", err)
	}
	for _, q := range r.Quarantined {
		w.broken("tidy: nothing is damaged, but quarantined: %s", q)
	}
}

// brief is what a worker did, without what it did not.
func brief(r *lifecycle.Report) string {
	var b strings.Builder
	for _, x := range []struct {
		what string
		n    int
	}{
		{"jobs", r.Jobs},
		{"lost", r.Lost},
		{"compactions", r.Compactions},
		{"rollups", r.Rollups},
		{"erasures", r.Erasures},
		{"in", r.InputBlocks},
		{"out", r.OutputBlocks},
		{"collected", r.Collected},
		{"orphans", r.Orphans},
		{"segments", r.Segments},
		{"expired", r.Expired},
		{"masked", r.Masked},
		{"of deleted tenants", r.DeletedObjects},
	} {
		if x.n > 0 {
			fmt.Fprintf(&b, " %s %d", x.what, x.n)
		}
	}
	if len(r.Failures) > 0 {
		fmt.Fprintf(&b, " %d failures, first %s", len(r.Failures), r.Failures[0])
	}
	return fmt.Sprintf("%d of %d read%s", r.Read, r.Partitions, b.String())
}

// race lets the world go on and another worker do its work while this one stands still, perhaps in the middle of a job that is still to be done.
func (w *world) race(m *machine) {
	w.others(m)
	if w.violation == nil && w.depth < maxDepth {
		w.depth++
		if w.rng.IntN(3) == 0 {
			w.makeSnapshot()
		}
		w.tidy(w.tidyConfig())
		if w.rng.IntN(3) == 0 {
			w.nowMs += 2 * 3600 * 1000 // it stands still for longer than a grace
		}
		w.depth--
	}
}

// contend lets two workers who see the same jobs do them at one time, each call of the bucket of one beside any of the other, and something
// else meanwhile.
func (w *world) contend() {
	if w.depth >= maxDepth {
		return
	}
	w.counts["contention"]++
	w.note("contention begins")
	cfg := w.tidyConfig()
	alike := func() { c := *cfg; w.tidy(&c) }
	tasks := []func(){alike, alike}
	if w.rng.IntN(2) == 0 {
		tasks = append(tasks, w.scavenge, w.appendAndFlush)
	}
	others := [...]func(){w.someSteps, w.appendAndFlush, w.makeSnapshot, w.deleteSeries, w.adopt}
	for range w.rng.IntN(3) {
		tasks = append(tasks, others[w.rng.IntN(len(others))])
	}
	w.together(tasks...)
}

// scavenge lets a worker take blocks for orphans that were uploaded a moment ago.
func (w *world) scavenge() {
	cfg := w.tidyConfig()
	cfg.Orphans.Age, cfg.Orphans.UnprovenAge = time.Millisecond, time.Millisecond
	cfg.Compact.Off, cfg.Merge.MaxBlocks = true, 1000
	w.tidyAt(cfg, maxSkew)
}

func (w *world) appendAndFlush() {
	if m := w.draw(func(m *machine) bool { return m.ing != nil }); m != nil {
		w.append(m)
		if m.ing != nil && !m.busy {
			w.flush(m)
		}
	}
}

// night lets hours go by in which nobody but workers does anything: what was flushed is merged, what was merged is deleted, and a machine
// that was on its way then wakes up, or comes back.
func (w *world) night() {
	w.counts["night"]++
	for range 2 + w.rng.IntN(2) {
		if w.violation == nil && w.depth < maxDepth {
			w.depth++
			w.tidy(w.tidyConfig())
			w.depth--
		}
		w.nowMs += 2 * 3600 * 1000
	}
}

// tidyAll merges and collects without faults until nothing is due.
func (w *world) tidyAll() {
	if w.violation != nil {
		return
	}
	cfg := &lifecycle.Config{
		Sequential: true, Rollups: w.rollups, Merge: lifecycle.MergeSettings{MaxBlocks: 1},
		Compact: lifecycle.CompactSettings{WaitForWriters: -100 * 24 * time.Hour, Settle: -1, LateBlocks: 1},
	}
	cfg.Orphans.Age, cfg.Orphans.UnprovenAge = time.Minute, time.Minute
	r, err := w.newTidier(cfg, 0).worker.Once(context.Background())
	w.note("tidy at the end: %s: %v", brief(&r), err)
	if err != nil || len(r.Failures)+len(r.Quarantined) > 0 {
		w.broken("tidy without faults: %v, %+v", err, r)
	}
}

// checkObjects demands that no object is left of a block that was retired longer than the grace ago, or dropped lately, nor of one that no catalog names.
func (w *world) checkObjects() {
	if w.violation != nil {
		return
	}
	gone, days, named := map[string]string{}, map[string]bool{}, map[string]bool{}
	c, _ := w.components(nil, 0)
	for _, tenant := range tenants {
		root, err := c.Catalog.Root(context.Background(), tenant, nil)
		if err != nil {
			w.broken("read root %s: %w", tenant, err)
			return
		}
		for _, day := range root.Days {
			p, err := c.Catalog.Partition(context.Background(), tenant, day, nil)
			if err != nil {
				w.broken("read catalog %s %s: %w", tenant, day, err)
				return
			}
			days[tenant+day.String()] = true
			for _, e := range slices.Concat(p.Blocks, p.Rollups) {
				named[e.ID] = true
			}
			for _, r := range p.Retired {
				named[r.ID] = true
				if w.nowMs-r.AtMs < time.Hour.Milliseconds() {
					continue // by a compaction that has only now become due, or by a clock that was ahead
				}
				gone[blocks.KeyOf(tenant, day, r.ID, r.Format)] = "retired"
			}
			for _, d := range p.Dropped {
				named[d.ID] = true
				if w.nowMs-d.AtMs < model.MsPerDay/2 {
					for _, f := range []blocks.Format{blocks.Native, blocks.Parquet, blocks.Rollup5m, blocks.Rollup1h} {
						gone[blocks.KeyOf(tenant, day, d.ID, f)] = "dropped"
					}
				}
			}
		}
	}
	for _, o := range w.stored("") {
		if why, ok := gone[o.Key]; ok {
			w.broken("%s was %s, and is still there after everything was collected", o.Key, why)
		}
		tenant, day, id, _, _ := blocks.ParseKey(o.Key)
		if days[tenant+day.String()] && !named[id] {
			w.broken("%s is an orphan, and is still there after everything was collected", o.Key)
		}
	}
}

// stored are the objects of blocks of all sorts; tenant bounds them to those of one, if it is not "".
func (w *world) stored(tenant string) (out []blob.Object) {
	for _, prefix := range []string{"d/", "r/"} {
		if tenant != "" {
			prefix += "tenant=" + tenant + "/"
		}
		for o, err := range blob.New(w.bucket, nil).List(context.Background(), prefix) {
			if err != nil {
				w.broken("list: %w", err)
				return nil
			}
			out = append(out, o)
		}
	}
	return out
}
