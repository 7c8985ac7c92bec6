package ingester

import (
	"maps"

	"github.com/varvedb/varve/model"
)

// Status is what an ingester tells an operator.
type Status struct {
	Writer   string `json:"writer"`
	Mode     Mode   `json:"mode"`
	Ships    bool   `json:"ships"`
	InRoster bool   `json:"in_roster"`
	Fenced   bool   `json:"fenced"`
	// NotReady says why writes are refused, "" while they are accepted.
	NotReady string `json:"not_ready,omitempty"`
	// Trouble holds, per step that failed last time, why. It is tried again.
	Trouble map[string]string `json:"trouble,omitempty"`

	InFlightBytes int64 `json:"in_flight_bytes"`
	// MemoryBytes is what the memtables hold, NamesBytes the part of it that the names of series take, which generations share.
	MemoryBytes int64 `json:"memory_bytes"`
	NamesBytes  int64 `json:"names_bytes"`
	// UnshippedBytes is about the length of the log that is not in the bucket.
	UnshippedBytes int64 `json:"unshipped_bytes"`
	// DiskBytes is what log and blocks take in the data directory, DiskLimit how much they may, 0 for no limit.
	DiskBytes int64 `json:"disk_bytes"`
	DiskLimit int64 `json:"disk_limit,omitempty"`
	// LogSegments and LogBytes are those of the local log.
	LogSegments int   `json:"log_segments"`
	LogBytes    int64 `json:"log_bytes"`
	// NextGeneration and NextSeq are the position of the next segment to ship, once known.
	NextGeneration uint64 `json:"next_generation,omitempty"`
	NextSeq        uint64 `json:"next_seq,omitempty"`
	// Generations are those that are not released, ascending; the last one is active.
	Generations []GenerationStatus `json:"generations"`
	// ShippedWaiting is the number of released generations whose segments are still in the bucket.
	ShippedWaiting int `json:"shipped_waiting"`
}

// GenerationStatus is one generation of a Status.
type GenerationStatus struct {
	Generation uint64 `json:"generation"`
	// Stage is active, sealed, built or complete.
	Stage     string `json:"stage"`
	StartedMs int64  `json:"started_ms"`
	// Series, Samples and Bytes are those of the memtable, zero once the blocks are built.
	Series  int64 `json:"series"`
	Samples int64 `json:"samples"`
	Bytes   int64 `json:"bytes"`
	// Blocks and BlockBytes are the local blocks, Committed those of them in the catalog.
	Blocks     int           `json:"blocks"`
	BlockBytes int64         `json:"block_bytes"`
	Committed  int           `json:"committed"`
	Days       []BlockStatus `json:"days,omitempty"`
}

// BlockStatus is one local block.
type BlockStatus struct {
	Tenant    string    `json:"tenant"`
	Day       model.Day `json:"day"`
	ID        string    `json:"id"`
	Size      int64     `json:"size"`
	Committed bool      `json:"committed"`
	// Failure says why the last try to commit it failed, "" if there was none.
	Failure string `json:"failure,omitempty"`
}

// Status takes a look at everything.
func (i *Ingester) Status() Status {
	i.mu.Lock()
	defer i.mu.Unlock()
	w := i.w
	s := Status{
		Writer: w.id, Mode: i.cfg.Mode, Ships: w.ships.Load(), InRoster: i.file.Registered, Fenced: w.fenced,
		InFlightBytes: i.inFlight.Load(), MemoryBytes: w.memoryLocked(), NamesBytes: w.active.table.Names().Bytes(), UnshippedBytes: w.unshipped.Load(),
		NextGeneration: w.next.gen, NextSeq: w.next.seq, ShippedWaiting: len(i.file.Shipped),
	}
	s.DiskBytes, s.DiskLimit = w.diskLocked(), i.cfg.DiskBytes
	if err := i.readyLocked(); err != nil {
		s.NotReady = err.Error()
	} else if err := i.waitingLocked(); err != nil {
		s.NotReady = err.Error()
	}
	for what, err := range maps.All(i.trouble) {
		if err != nil {
			if s.Trouble == nil {
				s.Trouble = map[string]string{}
			}
			s.Trouble[what] = err.Error()
		}
	}
	for _, seg := range w.log.Segments() {
		s.LogSegments++
		s.LogBytes += seg.Bytes
	}
	for _, g := range w.older {
		s.Generations = append(s.Generations, g.statusLocked())
	}
	s.Generations = append(s.Generations, w.active.statusLocked())
	return s
}

// statusLocked describes the generation. Ingester.mu is held.
func (g *generation) statusLocked() GenerationStatus {
	s := GenerationStatus{Generation: g.number, Stage: g.stage.String(), StartedMs: g.startedMs}
	if g.table != nil {
		t := g.table.Stats()
		s.Series, s.Samples, s.Bytes = t.Series, t.Samples+t.Histograms, t.Bytes
	}
	for _, p := range g.partitions {
		s.Blocks++
		s.BlockBytes += p.block.meta.Size
		if p.committed {
			s.Committed++
		}
		b := BlockStatus{Tenant: p.key.tenant, Day: p.key.day, ID: p.block.meta.ID, Size: p.block.meta.Size, Committed: p.committed}
		if p.failure != nil {
			b.Failure = p.failure.Error()
		}
		s.Days = append(s.Days, b)
	}
	return s
}
