package blocks

import (
	"context"
	"errors"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/model"
)

// Cache is a RangeReader over a bucket that keeps what was read: bytes, and what selects make of them. Parsed are the timestamp runs of a
// block, and per selector the series that it selects in a stretch of series pages: that is what a dashboard asks for again at each
// refresh, and it costs more to find than to keep. Chunks are kept as bytes only. Safe for concurrent use; who made the two caches
// closes them.
type Cache struct {
	bytes  *cache.Bucket
	parsed *cache.Parsed[any] // nil: nothing parsed is kept
}

// NewCache returns a Cache. parsed may be nil, and is used for nothing else.
func NewCache(bytes *cache.Bucket, parsed *cache.Parsed[any]) *Cache { return &Cache{bytes, parsed} }

// ReadRanges implements RangeReader.
func (c *Cache) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	return c.bytes.ReadRanges(ctx, key, ranges)
}

// Forget lets go of the bytes of a block that is no more. What was parsed of it ages.
func (c *Cache) Forget(key string) { c.bytes.Forget(key) }

// object describes the object of a block to a cache.
func object(m *Meta) *cache.Object {
	return &cache.Object{Key: Key(m), Size: m.Size, CRC: m.CRC, Tail: m.Size - m.Postings.End(), SumTail: sumTail}
}

// sumTail continues a checksum of a block, as Checksum computes it, from behind its sections to the end.
func sumTail(crc uint32, tail []byte) uint32 {
	const own = int64(trailerSize - 4)
	trailer := max(own, int64(len(tail))-parquetEnd(tail))
	if trailer > int64(len(tail)) {
		return crc
	}
	return crc32.Update(crc32.Update(crc, castagnoli(), tail[:trailer-own]), castagnoli(), tail[trailer:])
}

// warm is a Cache, or none, at work on one block.
type warm struct {
	*cache.Bucket
	parsed *cache.Parsed[any] // nil without one
	object *cache.Object
}

func warmOf(r RangeReader, m *Meta) *warm {
	c, ok := r.(*Cache)
	if !ok {
		return nil
	}
	return &warm{c.bytes, c.parsed, object(m)}
}

// readBlock is readRanges for a block that is known.
func readBlock(ctx context.Context, r RangeReader, m *Meta, ranges []blob.Range) ([][]byte, error) {
	if w := warmOf(r, m); w != nil {
		r = w
	}
	return readRanges(ctx, r, Key(m), ranges)
}

// ReadRanges implements RangeReader.
func (w *warm) ReadRanges(ctx context.Context, _ string, ranges []blob.Range) ([][]byte, error) {
	return w.Read(ctx, w.object, ranges)
}

// has reports whether a read of the range would take no request.
func (w *warm) has(r blob.Range) bool { return w != nil && w.Has(w.object, r) }

// distrust lets go of everything of the block if the error says that its bytes are damaged: whoever asks next reads the bucket.
func (w *warm) distrust(err error) {
	if w == nil || !errors.Is(err, model.ErrCorrupt) {
		return
	}
	w.Forget(w.object.Key)
	if w.parsed != nil {
		w.parsed.Delete(w.runsKey())
	}
}

func (w *warm) runsKey() string { return "runs " + w.object.Key }

// runs returns the runs of the block if they are kept.
func (w *warm) runs(ctx context.Context, s Section) *runTable {
	if w == nil || w.parsed == nil {
		return nil
	}
	v, ok := w.parsed.Get(w.runsKey())
	if !ok {
		return nil
	}
	cache.Count(ctx, 1, s.Length)
	return v.(*runTable)
}

// keepRuns keeps the runs, or notes that more of them were decoded since they were kept.
func (w *warm) keepRuns(t *runTable) {
	if w == nil || w.parsed == nil {
		return
	}
	if bytes := t.bytes(); bytes > t.charged.Load()*5/4 {
		t.charged.Store(bytes)
		w.parsed.Put(w.runsKey(), t, bytes)
	}
}

// matchesKey names the series that matchers select in a stretch of series pages.
func (w *warm) matchesKey(r blob.Range, matchers []*labels.Matcher) string {
	var b strings.Builder
	b.WriteString(w.object.Key)
	for _, n := range [...]int64{r.Offset, r.Length} {
		b.WriteByte(' ')
		b.WriteString(strconv.FormatInt(n, 10))
	}
	for _, m := range matchers {
		// Names and values are any UTF-8, so that lengths have to part them.
		for _, s := range [...]string{m.Name, m.Value} {
			b.WriteByte(' ')
			b.WriteString(strconv.Itoa(len(s)))
			b.WriteByte(byte(' ') + 1 + byte(m.Type))
			b.WriteString(s)
		}
	}
	return b.String()
}

// matches returns what is kept under the key.
func (w *warm) matches(ctx context.Context, key string, r blob.Range) *stretchMatches {
	v, ok := w.parsed.Get(key)
	if !ok {
		return nil
	}
	cache.Count(ctx, 1, r.Length)
	return v.(*stretchMatches)
}

// stretchMatches are the series that a selector selects in a stretch of series pages, whatever the range of time. Immutable.
type stretchMatches struct{ pages []pageMatches }

// pageMatches are those of one series page.
type pageMatches struct {
	offset, length int64 // of the series page
	chunkPages     []native.PageRef
	series         []match
	// chunks is how many references the page holds on to, in one piece of memory.
	chunks int
}

type match struct {
	labels labels.Labels
	refs   []native.ChunkRef
}

// tighten lets go of the references of series that do not match, if they are most.
func (p *pageMatches) tighten(g *native.Group) {
	used := 0
	for i := range p.series {
		used += len(p.series[i].refs)
	}
	p.chunks = len(g.Chunks)
	if used > len(g.Chunks)/2 {
		return
	}
	p.chunks = used
	all := make([]native.ChunkRef, 0, used)
	for i := range p.series {
		m := &p.series[i]
		from := len(all)
		all = append(all, m.refs...)
		m.refs = all[from:len(all):len(all)]
	}
}

// What things take in memory.
const (
	pageRefBytes  = 16
	chunkRefBytes = 32
	matchBytes    = 16 + 24 + 8 // and the end of the text of the labels
	headerBytes   = 64
)

// bytes is what the matches take in memory, roughly.
func (s *stretchMatches) bytes() int64 {
	n := int64(headerBytes)
	for i := range s.pages {
		p := &s.pages[i]
		n += headerBytes + int64(len(p.chunkPages))*pageRefBytes + int64(p.chunks)*chunkRefBytes + int64(len(p.series))*matchBytes
		for j := range p.series {
			n += int64(p.series[j].labels.ByteSize())
		}
	}
	return n
}
