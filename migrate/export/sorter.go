package export

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/varvedb/varve/migrate/spill"
)

// sorter puts records in the order of their keys, which differ. It holds a bounded number of bytes and writes the rest as sorted runs into a directory of its own. For one goroutine:
// add, then each any number of times, then close.
type sorter struct {
	parent string
	dir    *spill.Dir // nil before the first run
	budget int64
	held   int64
	items  []record
	runs   []*os.File
	made   int
}

type record struct{ key, payload []byte }

const (
	// recordBytes is what a record takes beside its bytes, about.
	recordBytes = 64
	// maxRuns is how many runs are read at one time, at about a MiB each: more are merged into one.
	maxRuns = 48
)

func newSorter(parent string, budget int64) *sorter {
	return &sorter{parent: parent, budget: max(budget, 1<<16)}
}

// add copies the record.
func (s *sorter) add(key, payload []byte) error {
	b := make([]byte, len(key)+len(payload))
	copy(b, key)
	copy(b[len(key):], payload)
	s.items = append(s.items, record{b[:len(key):len(key)], b[len(key):]})
	s.held += int64(len(b)) + recordBytes
	if s.held < s.budget {
		return nil
	}
	return s.spill()
}

func (s *sorter) sort() {
	slices.SortFunc(s.items, func(a, b record) int { return bytes.Compare(a.key, b.key) })
}

// spill writes what is held as a run.
func (s *sorter) spill() error {
	s.sort()
	if len(s.runs) >= maxRuns {
		return s.unite()
	}
	err := s.write(func(put func(record) error) error {
		for _, r := range s.items {
			if err := put(r); err != nil {
				return err
			}
		}
		return nil
	})
	s.items, s.held = nil, 0
	return err
}

// unite makes one run of all and of what is held.
func (s *sorter) unite() error {
	old := s.runs
	err := s.write(func(put func(record) error) error {
		return s.each(func(key, payload []byte) error { return put(record{key, payload}) })
	})
	if err != nil {
		return err
	}
	s.runs = s.runs[len(old):]
	s.items, s.held = nil, 0
	for _, f := range old {
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return err
}

// write makes a run of what fill puts.
func (s *sorter) write(fill func(put func(record) error) error) (err error) {
	if s.dir == nil {
		if s.dir, err = spill.MakeDir(s.parent); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(s.dir.Path(), fmt.Sprintf("%06d", s.made)))
	if err != nil {
		return fmt.Errorf("sort: %w", err)
	}
	s.made++
	if err := writeRun(f, fill); err != nil {
		return fmt.Errorf("sort: write run: %w", errors.Join(err, f.Close()))
	}
	s.runs = append(s.runs, f)
	return nil
}

func writeRun(f *os.File, fill func(put func(record) error) error) error {
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(256<<10))
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(z, 64<<10)
	var head [2 * binary.MaxVarintLen64]byte
	err = fill(func(r record) error {
		n := binary.PutUvarint(head[:], uint64(len(r.key)))
		n += binary.PutUvarint(head[n:], uint64(len(r.payload)))
		for _, b := range [...][]byte{head[:n], r.key, r.payload} {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = w.Flush()
	}
	return errors.Join(err, z.Close())
}

// each calls fn with all records in their order. What it gets is valid until it returns.
func (s *sorter) each(fn func(key, payload []byte) error) (err error) {
	s.sort()
	h := runHeap{}
	defer func() {
		for _, r := range h {
			r.close()
		}
	}()
	if len(s.items) > 0 {
		h = append(h, &runReader{items: s.items[1:], at: s.items[0]})
	}
	for _, f := range s.runs {
		r, err := openRun(f)
		if err != nil {
			return fmt.Errorf("sort: read run: %w", err)
		}
		h = append(h, r)
	}
	heap.Init(&h)
	for len(h) > 0 {
		if err := fn(h[0].at.key, h[0].at.payload); err != nil {
			return err
		}
		ok, err := h[0].next()
		if err != nil {
			return fmt.Errorf("sort: read run: %w", err)
		}
		if ok {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h).(*runReader).close()
		}
	}
	return nil
}

// close removes the runs.
func (s *sorter) close() error {
	var errs []error
	for _, f := range s.runs {
		errs = append(errs, f.Close())
	}
	if s.dir != nil {
		errs = append(errs, s.dir.Close())
	}
	s.runs, s.dir, s.items = nil, nil, nil
	return errors.Join(errs...)
}

// runReader is a run at one of its records: items, or a file.
type runReader struct {
	items []record
	zip   *zstd.Decoder
	in    *bufio.Reader
	at    record
}

// openRun begins a run, which has a record at least.
func openRun(f *os.File) (*runReader, error) {
	z, err := zstd.NewReader(io.NewSectionReader(f, 0, 1<<62), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	r := &runReader{zip: z, in: bufio.NewReaderSize(z, 64<<10)}
	if _, err := r.next(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *runReader) next() (bool, error) {
	if r.in == nil {
		if len(r.items) == 0 {
			return false, nil
		}
		r.at, r.items = r.items[0], r.items[1:]
		return true, nil
	}
	k, err := binary.ReadUvarint(r.in)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p, err := binary.ReadUvarint(r.in)
	if err != nil {
		return false, err
	}
	b := slices.Grow(r.at.key[:0], int(k+p))[:k+p]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return false, err
	}
	r.at = record{b[:k], b[k:]}
	return true, nil
}

func (r *runReader) close() {
	if r.zip != nil {
		r.zip.Close()
		r.zip = nil
	}
}

// runHeap orders runs by the record at which they are.
type runHeap []*runReader

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return bytes.Compare(h[i].at.key, h[j].at.key) < 0 }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *runHeap) Push(x any) { *h = append(*h, x.(*runReader)) }

// Pop implements heap.Interface.
func (h *runHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// Keys of labels sort as labels.Compare does: each text ends with 0, 1 and has 0, 255 for a 0 in it.

func appendKeyText(dst []byte, s string) []byte {
	for i := range len(s) {
		if dst = append(dst, s[i]); s[i] == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 1)
}

// cutKeyText takes a text off a key. It may be part of the key.
func cutKeyText(key []byte) (text, rest []byte) {
	end := bytes.Index(key, []byte{0, 1})
	if text = key[:end]; bytes.IndexByte(text, 0) >= 0 {
		text = bytes.ReplaceAll(text, []byte{0, 0xff}, []byte{0})
	}
	return text, key[end+2:]
}
