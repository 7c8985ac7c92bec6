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
// stretch of series. An entry reaches to the next one, the last to the end of its section.
type DirEntry struct {
	// FirstMetric is the metric name of the first series of the entry, cut to MaxFence bytes.
	FirstMetric string
	// SeriesOffset and ChunkOffset are offsets within the object.
	SeriesOffset, ChunkOffset int64
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
