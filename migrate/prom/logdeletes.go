package prom

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/tsdb/chunks"
)

// logDeletes is what was deleted in a log: 24 bytes for each stretch of a series. Deletes name one reference, and count for all references of the same labels.
type logDeletes struct {
	// all are in order of reference and time, and do not overlap, once they are settled.
	all []stretch
	// settleAt is at how many of them that is due.
	settleAt int
	// same are references of labels that another reference, which is in all, stands for.
	same map[chunks.HeadSeriesRef]chunks.HeadSeriesRef
}

// stretch is a time, both ends included, of which the samples of a series were deleted.
type stretch struct {
	ref          chunks.HeadSeriesRef
	minMs, maxMs int64
}

// leastSettled is how many stretches are gathered before those of the same series are made one.
const leastSettled = 1 << 16

func (d *logDeletes) add(s stretch) {
	if s.minMs > s.maxMs {
		return
	}
	if len(d.all) >= max(d.settleAt, leastSettled) {
		d.settle()
		d.settleAt = 2 * len(d.all)
	}
	d.all = append(d.all, s)
}

// settle puts the stretches in order, and makes those of one series that overlap one.
func (d *logDeletes) settle() {
	slices.SortFunc(d.all, func(a, b stretch) int { return cmp.Or(cmp.Compare(a.ref, b.ref), cmp.Compare(a.minMs, b.minMs)) })
	out := d.all[:0]
	for _, s := range d.all {
		if n := len(out); n > 0 && out[n-1].ref == s.ref && s.minMs <= out[n-1].maxMs {
			out[n-1].maxMs = max(out[n-1].maxMs, s.maxMs)
			continue
		}
		out = append(out, s)
	}
	d.all = out
}

// has reports whether the time of a series was deleted.
func (d *logDeletes) has(ref chunks.HeadSeriesRef, t int64) bool {
	if other, ok := d.same[ref]; ok {
		ref = other
	}
	behind := sort.Search(len(d.all), func(i int) bool { return d.all[i].ref > ref || d.all[i].ref == ref && d.all[i].minMs > t })
	return behind > 0 && d.all[behind-1].ref == ref && t <= d.all[behind-1].maxMs
}

// spread makes what was deleted of a series deleted of all its references: one that ended and came again has several, and a delete names the last. Of labels only hashes are held,
// sixteen bytes for each series of which something was deleted; the labels themselves are read, and compared, where two are equal.
func (d *logDeletes) spread(series *logSeries) error {
	if len(d.all) == 0 {
		return nil
	}
	d.settle()
	x := &spreading{d: d, series: series, seed: maphash.MakeSeed()}
	if err := x.firsts(); err != nil {
		return err
	}
	for i := range d.all {
		if first, ok := d.same[d.all[i].ref]; ok {
			d.all[i].ref = first
		}
	}
	d.settle()
	return x.others()
}

// spreading is one call of spread.
type spreading struct {
	d      *logDeletes
	series *logSeries
	seed   maphash.Seed
	// hashes are those of labels of which something was deleted, in order, each with its first reference.
	hashes []hashed
	// labels are those that others are compared with.
	labels []byte
}

// hashed is a reference with the hash of its labels.
type hashed struct {
	hash uint64
	ref  chunks.HeadSeriesRef
}

// firsts finds for all labels of which something was deleted the first reference. What was deleted of series that are not wanted is forgotten.
func (x *spreading) firsts() error {
	known := x.d.all[:0]
	for _, s := range x.d.all {
		if _, ok := x.series.places[s.ref]; !ok {
			continue
		}
		again := len(known) > 0 && known[len(known)-1].ref == s.ref
		known = append(known, s)
		if again {
			continue
		}
		ls, err := x.read(s.ref)
		if err != nil {
			return err
		}
		x.hashes = append(x.hashes, hashed{maphash.Bytes(x.seed, ls), s.ref})
		x.series.places[s.ref] |= 1
	}
	x.d.all = known
	x.d.same = map[chunks.HeadSeriesRef]chunks.HeadSeriesRef{}
	slices.SortFunc(x.hashes, func(a, b hashed) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.ref, b.ref)) })
	all := x.hashes
	x.hashes = all[:0]
	for _, h := range all {
		if n := len(x.hashes); n > 0 && x.hashes[n-1].hash == h.hash {
			ls, err := x.read(h.ref)
			if err != nil {
				return err
			}
			x.labels = append(x.labels[:0], ls...)
			first, ok, err := x.first(h.hash)
			if err != nil {
				return err
			}
			if ok {
				x.d.same[h.ref] = first
				continue
			}
		}
		x.hashes = append(x.hashes, h)
	}
	return nil
}

// others finds the other references of labels of which something was deleted.
func (x *spreading) others() error {
	for offset := int64(0); offset < x.series.size(); {
		next, content, err := x.series.at(offset)
		if err != nil {
			return err
		}
		n, size := binary.Uvarint(content)
		ref := chunks.HeadSeriesRef(n)
		if p, ok := x.series.places[ref]; ok && p.offset() == offset && !p.deleted() {
			x.labels = append(x.labels[:0], content[size:]...)
			first, ok, err := x.first(maphash.Bytes(x.seed, x.labels))
			if err != nil {
				return err
			}
			if ok {
				x.d.same[ref] = first
				x.series.places[ref] |= 1
			}
		}
		offset = next
	}
	return nil
}

// first returns the reference that stands for x.labels, which have the hash, if something was deleted of them.
func (x *spreading) first(hash uint64) (chunks.HeadSeriesRef, bool, error) {
	i, _ := slices.BinarySearchFunc(x.hashes, hash, func(h hashed, hash uint64) int { return cmp.Compare(h.hash, hash) })
	for ; i < len(x.hashes) && x.hashes[i].hash == hash; i++ {
		ls, err := x.read(x.hashes[i].ref)
		if err != nil {
			return 0, false, err
		}
		if bytes.Equal(ls, x.labels) {
			return x.hashes[i].ref, true, nil
		}
	}
	return 0, false, nil
}

// read returns the labels of a reference as they lie in the file, valid until the next call.
func (x *spreading) read(ref chunks.HeadSeriesRef) ([]byte, error) {
	_, content, err := x.series.at(x.series.places[ref].offset())
	if err != nil {
		return nil, err
	}
	_, n := binary.Uvarint(content)
	return content[n:], nil
}
