package blocks

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// openPages is how many decompressed chunk pages a selection keeps; more only while they are in use. Callers go
// through series in order, and neighbors share pages.
const openPages = 16

// selection is what the series of a model.Selection share. Safe for concurrent use once Select has returned.
type selection struct {
	key     string
	rng     model.TimeRange
	series  []*series
	warm    *warm // nil without caches
	held    *held
	runs    *runTable            // nil if none was read
	kept    atomic.Int64         // of the timestamps that runs keep, those that are accounted for
	pages   map[int64]*chunkPage // by offset
	inOrder []*chunkPage

	scratches sync.Pool

	mu sync.Mutex
	// Guarded by mu: users of every page, open.
	open []*chunkPage // decompressed, oldest first
}

// chunkPage is a fetched page of chunks, decompressed while somebody uses it and a while longer.
type chunkPage struct {
	ref    native.PageRef
	stored []byte
	users  int

	once   sync.Mutex // held while decompressing
	buf    *[]byte
	parsed *native.ChunkPage
}

// scratch is memory for one call of Samples.
type scratch struct {
	t []int64
	v []float64
}

func (s *selection) scratch() *scratch {
	if x, ok := s.scratches.Get().(*scratch); ok {
		return x
	}
	return &scratch{}
}

// page returns the page of the reference, the same for all series.
func (s *selection) page(ref native.PageRef) *chunkPage {
	p, ok := s.pages[ref.Offset]
	if !ok {
		p = &chunkPage{ref: ref}
		s.pages[ref.Offset] = p
		s.inOrder = append(s.inOrder, p)
	}
	return p
}

// result makes the model's selection.
func (s *selection) result() *model.Selection {
	byLabels := func(a, b *series) int { return labels.Compare(a.labels, b.labels) }
	// Blocks are sorted by metric name first, which differs when a label name sorts before __name__.
	if !slices.IsSortedFunc(s.series, byLabels) {
		slices.SortFunc(s.series, byLabels)
	}
	out := &model.Selection{Series: make([]model.Series, len(s.series)), Release: s.close}
	for i, x := range s.series {
		out.Series[i] = x
	}
	return out
}

// acquire returns the decompressed page, which stays so until release.
func (s *selection) acquire(p *chunkPage) (*native.ChunkPage, error) {
	s.mu.Lock()
	p.users++
	s.mu.Unlock()
	p.once.Lock()
	defer p.once.Unlock()
	if p.parsed != nil {
		return p.parsed, nil
	}
	buf := page.GetBuffer()
	raw, _, err := page.Decode(*buf, p.stored, page.Chunks)
	var parsed *native.ChunkPage
	if err == nil {
		*buf = raw
		parsed, err = native.ParseChunkPage(raw)
	}
	if err == nil {
		err = s.takeOpen(int64(cap(*buf)))
	}
	if err != nil {
		page.PutBuffer(buf)
		s.mu.Lock()
		p.users--
		s.mu.Unlock()
		return nil, err
	}
	p.buf, p.parsed = buf, parsed
	s.mu.Lock()
	s.open = append(s.open, p)
	s.evict(openPages)
	s.mu.Unlock()
	return parsed, nil
}

// takeOpen takes the memory of a page that is open. Where there is none left, pages that nobody uses give way.
func (s *selection) takeOpen(n int64) error {
	if s.held.take(n) == nil {
		return nil
	}
	s.mu.Lock()
	s.evict(0)
	s.mu.Unlock()
	return s.held.take(n)
}

func (s *selection) release(p *chunkPage) {
	s.mu.Lock()
	p.users--
	s.mu.Unlock()
}

// evict gives back the oldest pages that nobody uses until at most keep are open. The caller holds mu. Who comes later takes mu
// first to count as a user, so nobody sees a page half gone.
func (s *selection) evict(keep int) {
	for i := 0; len(s.open) > keep && i < len(s.open); {
		p := s.open[i]
		if p.users > 0 {
			i++
			continue
		}
		s.held.give(int64(cap(*p.buf)))
		page.PutBuffer(p.buf)
		p.buf, p.parsed = nil, nil
		s.open = slices.Delete(s.open, i, i+1)
	}
}

func (s *selection) close() {
	if s.runs != nil {
		s.warm.keepRuns(s.runs)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evict(0)
	s.held.close()
}
