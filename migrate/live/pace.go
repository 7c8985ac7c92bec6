package live

import "sync"

// Lengths of slices. The first is short enough for a large server to answer at once, the longest lets a small one answer for a day in a few requests.
const (
	firstSliceMs = 3_600_000
	maxSliceMs   = 8 * 3_600_000
	minSliceMs   = 1000
)

// raiseAfter is after how many answers in a row a length that was refused is tried again.
const raiseAfter = 64

// pace finds out how long slices should be. Safe for concurrent use.
type pace struct {
	mu sync.Mutex // guards what follows
	// size is that of the next slice, ceiling the longest that is tried.
	size, ceiling int64
	row           int // answers since the last that was refused
}

func (p *pace) take() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// succeeded says that the server has answered for so much time. Answers for less than is asked for by now say nothing.
func (p *pace) succeeded(ms int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ms < p.size {
		return
	}
	if p.row++; p.row%raiseAfter == 0 {
		p.ceiling = min(2*p.ceiling, maxSliceMs)
	}
	p.size = min(2*p.size, p.ceiling)
}

// refused says that so much time was too much.
func (p *pace) refused(ms int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.row = 0
	p.ceiling = max(min(p.ceiling, ms/2), minSliceMs)
	p.size = min(p.size, p.ceiling)
}
