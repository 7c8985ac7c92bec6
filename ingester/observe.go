package ingester

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/memtable"
)

// timedFS measures the fsyncs of the files that are written through it.
type timedFS struct {
	vfs.FS
	now     func() time.Time
	seconds prometheus.Observer
}

// Create implements vfs.FS.
func (t timedFS) Create(name string) (vfs.File, error) { return t.timed(t.FS.Create(name)) }

// OpenWrite implements vfs.FS.
func (t timedFS) OpenWrite(name string) (vfs.File, error) { return t.timed(t.FS.OpenWrite(name)) }

func (t timedFS) timed(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return timedFile{f, t}, nil
}

type timedFile struct {
	vfs.File
	fs timedFS
}

// Sync implements vfs.File.
func (f timedFile) Sync() error {
	began := f.fs.now()
	err := f.File.Sync()
	f.fs.seconds.Observe(f.fs.now().Sub(began).Seconds())
	return err
}

// arrivals counts how samples of one kind came. What is in the log already when a process starts is not counted.
type arrivals struct{ outOfOrder, duplicates, overwritten int64 }

func (a *arrivals) add(s memtable.Stats) {
	a.outOfOrder += s.OutOfOrder
	a.duplicates += s.Duplicates
	a.overwritten += s.Overwritten
}

// retireLocked keeps the counts of a table that takes no more samples. Ingester.mu is held.
func (i *Ingester) retireLocked(g *generation) { i.past.add(g.table.Stats()) }

// arrivals returns the counts since the start.
func (i *Ingester) arrivals() arrivals {
	i.mu.Lock()
	defer i.mu.Unlock()
	a := i.past
	a.add(i.w.active.table.Stats())
	return a
}
