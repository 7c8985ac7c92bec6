package index

import (
	"sort"
	"strings"
)

// MetricName is the label that holds the metric name.
const MetricName = "__name__"

// MaxFence is the longest fence key (metric name, label name or label value) in bytes. A longer key is cut
// to this length and is then a lower bound of the real one. It bounds the catalog against absurd names.
const MaxFence = 128

// MaxEntries is the largest number of entries of a directory and of fences of the postings.
const MaxEntries = 512

// DirEntry is one entry of the thin directory: where the series pages and the chunks begin of a
// stretch of series. Its chunks reach to those of the next entry. It is either whole series pages, or a part of
// one: then it has the offset of the page, as the other parts have. See [SeriesEnd].
type DirEntry struct {
	// FirstMetric is the metric name of the first series of the entry, cut to MaxFence bytes.
	FirstMetric string
	// SeriesOffset and ChunkOffset are offsets within the object.
	SeriesOffset, ChunkOffset int64
}

// SeriesEnd returns the end of the last series page of entry i, where the section of the series pages ends at end.
func SeriesEnd(dir []DirEntry, i int, end int64) int64 {
	for _, e := range dir[i+1:] {
		if e.SeriesOffset > dir[i].SeriesOffset {
			return e.SeriesOffset
		}
	}
	return end
}

// minEntry is the size of chunks at which a directory entry closes in a small block.
const minEntry = 64 << 10

// directory makes entries of at least 64 KiB, or as large as it takes for MaxEntries of them.
func (b *Builder) directory(offset int64) []DirEntry {
	total := int64(len(b.pages))
	for i := range b.groups {
		total += b.groups[i].chunkBytes
	}
	for limit := max(minEntry, total/(MaxEntries-1)+1); ; limit += limit/8 + 1 {
		if dir := b.directoryOf(offset, limit); len(dir) <= MaxEntries {
			return dir
		}
	}
}

// directoryOf makes entries that close at limit bytes.
func (b *Builder) directoryOf(offset, limit int64) []DirEntry {
	var dir []DirEntry
	size := limit   // of the open entry
	inside := false // it began inside a page
	for i := 0; i < len(b.groups); {
		first, bytes := i, int64(b.groups[i].length)
		for ; i < len(b.groups) && b.groups[i].page == b.groups[first].page; i++ {
			bytes += b.groups[i].chunkBytes
		}
		// A page goes to the open entry as a whole, or it begins one, of which parts may be split off.
		join := !inside && size < limit && size+bytes <= 2*limit
		if !join {
			size = limit
		}
		inside = false
		for j := first; j < i; j++ {
			g := &b.groups[j]
			if size >= limit && !(join && j > first) {
				dir = append(dir, DirEntry{FirstMetric: g.metric, SeriesOffset: offset, ChunkOffset: g.chunkOffset})
				size, inside = 0, j > first
			}
			size += g.chunkBytes
		}
		size += int64(b.groups[first].length)
		offset += int64(b.groups[first].length)
	}
	return dir
}

// Fence is the first key of a postings page, each part cut to MaxFence bytes, and the offset of the page
// within the object.
type Fence struct {
	Name, Value string
	Offset      int64
}

// cutFence cuts a key to the length that fences may have.
func cutFence(s string) string {
	if len(s) > MaxFence {
		// A copy, so that the fence does not hold on to the long string.
		return strings.Clone(s[:MaxFence])
	}
	return s
}

// FindMetric returns the entries [lo, hi) that may hold series of the metric.
func FindMetric(dir []DirEntry, metric string) (lo, hi int) {
	hi = sort.Search(len(dir), func(i int) bool { return dir[i].FirstMetric > metric })
	// A metric may span entries, so an entry is passed over only if the next one begins with a smaller name for certain.
	lo = sort.Search(hi, func(i int) bool { return i+1 >= hi || !surelyBelow(dir[i+1].FirstMetric, metric) })
	return lo, hi
}

// surelyBelow reports whether every key that fence f stands for is smaller than key.
func surelyBelow(f, key string) bool {
	if f >= key {
		return false
	}
	return len(f) < MaxFence || !strings.HasPrefix(key, f)
}

// FindPostings returns the postings pages [lo, hi) that may hold the keys (name, from) to (name, to). With all set
// it returns those of all values of the name.
func FindPostings(fences []Fence, name, from, to string, all bool) (lo, hi int) {
	if all {
		from = ""
	}
	hi = sort.Search(len(fences), func(i int) bool {
		return fences[i].Name > name || !all && fences[i].Name == name && fences[i].Value > to
	})
	lo = sort.Search(hi, func(i int) bool { return i+1 >= hi || !surelyAtMost(fences[i+1], name, from) })
	return lo, hi
}

// surelyAtMost reports whether every key that the fence stands for is at most (name, value).
func surelyAtMost(f Fence, name, value string) bool {
	switch {
	case f.Name != name || len(f.Name) >= MaxFence:
		return surelyBelow(f.Name, name)
	case len(f.Value) < MaxFence:
		return f.Value <= value
	}
	return surelyBelow(f.Value, value)
}
