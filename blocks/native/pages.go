package native

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/varvedb/varve/blocks/chunk"
	"github.com/varvedb/varve/internal/page"
)

// chunkPage is the open chunk page of a Writer.
type chunkPage struct {
	runs, chunks       []byte
	runEnds, chunkEnds []int
	hashes             map[uint64][]int
	lastRun            int
}

func (p *chunkPage) raw() int    { return len(p.runs) + len(p.chunks) }
func (p *chunkPage) empty() bool { return len(p.chunkEnds) == 0 }

func (p *chunkPage) reset() {
	p.runs, p.chunks, p.runEnds, p.chunkEnds = p.runs[:0], p.chunks[:0], p.runEnds[:0], p.chunkEnds[:0]
	p.lastRun = 0
	clear(p.hashes)
}

func (p *chunkPage) endChunk() { p.chunkEnds = append(p.chunkEnds, len(p.chunks)) }

// find returns the number of the page's run with the timestamps, which it adds if it has none.
func (p *chunkPage) find(t []int64) int {
	h := hash(t)
	tries := p.hashes[h]
	for _, i := range tries[max(0, len(tries)-maxTries):] {
		from := 0
		if i > 0 {
			from = p.runEnds[i-1]
		}
		if chunk.RunEquals(p.runs[from:p.runEnds[i]], t) {
			return i
		}
	}
	if p.hashes == nil {
		p.hashes = map[uint64][]int{}
	}
	i := len(p.runEnds)
	p.hashes[h] = append(tries, i)
	p.runs = chunk.AppendRun(p.runs, t)
	p.runEnds = append(p.runEnds, len(p.runs))
	return i
}

func (p *chunkPage) append(dst []byte) []byte {
	dst = appendLengths(dst, p.runEnds)
	dst = appendLengths(dst, p.chunkEnds)
	dst = append(dst, p.runs...)
	return append(dst, p.chunks...)
}

func appendLengths(dst []byte, ends []int) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ends)))
	prev := 0
	for _, e := range ends {
		dst = binary.AppendUvarint(dst, uint64(e-prev))
		prev = e
	}
	return dst
}

const (
	// MaxRunSection bounds the run section, which is read with every first stage.
	MaxRunSection = 256 << 10
	// runPage is the raw size of a page of runs.
	runPage = 32 << 10
	// maxTries bounds how many runs of one hash are compared; beyond that a run is stored again.
	maxTries = 8
	// maxKept bounds the timestamps that are kept decoded.
	maxKept = 1 << 20
)

// runTable is the run section of a Writer.
type runTable struct {
	runs   [][]byte // encoded
	hashes map[uint64][]int
	times  [][]int64 // decoded, nil where there was no room
	kept   int

	pages []byte // closed pages
	open  []byte // runs of the open page
	count int    // of the open page
	full  bool
}

// find returns the number of the run with the timestamps, which it adds while there is room.
func (r *runTable) find(t []int64, enc *page.Encoder) (int, bool) {
	h := hash(t)
	tries := r.hashes[h]
	for _, i := range tries[max(0, len(tries)-maxTries):] {
		if r.equal(i, t) {
			return i, true
		}
	}
	if r.full {
		return 0, false
	}
	run := chunk.AppendRun(nil, t)
	if len(r.open) > 0 && len(r.open)+len(run) > runPage {
		r.closePage(enc)
	}
	// A page that does not compress is the worst case.
	if len(r.pages)+len(r.open)+len(run)+page.HeadSize+16 > MaxRunSection {
		r.full = true
		return 0, false
	}
	if r.hashes == nil {
		r.hashes = map[uint64][]int{}
	}
	i := len(r.runs)
	r.hashes[h] = append(tries, i)
	r.runs = append(r.runs, run)
	r.keep(t)
	r.open = binary.AppendUvarint(r.open, uint64(len(run)))
	r.open = append(r.open, run...)
	r.count++
	return i, true
}

// keep remembers the timestamps of the run added last, since comparing those is many times faster than
// comparing with the encoded run.
func (r *runTable) keep(t []int64) {
	var kept []int64
	if r.kept+len(t) <= maxKept {
		r.kept += len(t)
		kept = slices.Clone(t)
	}
	r.times = append(r.times, kept)
}

func (r *runTable) equal(i int, t []int64) bool {
	if kept := r.times[i]; kept != nil {
		return slices.Equal(kept, t)
	}
	return chunk.RunEquals(r.runs[i], t)
}

func (r *runTable) closePage(enc *page.Encoder) {
	raw := binary.AppendUvarint(nil, uint64(r.count))
	r.pages = enc.Append(r.pages, page.Runs, append(raw, r.open...))
	r.open, r.count = r.open[:0], 0
}

func (r *runTable) finish(enc *page.Encoder) []byte {
	if r.count > 0 {
		r.closePage(enc)
	}
	return r.pages
}

// hash finds candidates only, from a few timestamps; equality is checked.
func hash(t []int64) uint64 {
	h := uint64(len(t))
	for i := 0; i < len(t); i += 1 + len(t)/16 {
		h = bits.RotateLeft64(h^uint64(t[i]), 29) * 0x9e3779b97f4a7c15
	}
	return bits.RotateLeft64(h^uint64(t[len(t)-1]), 29) * 0x9e3779b97f4a7c15
}
