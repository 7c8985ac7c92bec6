package prom

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// logSeries are the series of a log. Their labels lie in a file on local disk, and memory has a place for each reference: sixteen bytes in a map, about thirty in all. For one
// goroutine. The file is read by the process that writes it and by nobody else; it has a record for each series, one behind the other:
//
//	checksum   4 bytes, CRC-32 (Castagnoli) of what follows, little-endian
//	length     uvarint, of what follows
//	reference  uvarint
//	labels     name and value of each, uvarint length and bytes
type logSeries struct {
	dir    *spill.Dir
	f      *os.File
	places map[chunks.HeadSeriesRef]place
	// refused are references of series that are not wanted, some twenty bytes each: samples of others are of series that the log does not name.
	refused map[chunks.HeadSeriesRef]bool
	// tail is the end of the file that is not written yet, from byte end on: written are whole blocks.
	tail []byte
	end  int64
	// blocks are those that were read last, each in the slot of its number. Whoever scrapes sends series in the order in which they came first, so one block serves many of them.
	blocks  [labelBlocks]labelBlock
	record  []byte // the one that is being written
	between []byte // one that lies in several blocks
	b       labels.ScratchBuilder
}

// place is where a record begins, doubled, plus one if something was deleted of the series.
type place uint64

func (p place) offset() int64 { return int64(p >> 1) }
func (p place) deleted() bool { return p&1 != 0 }

// Of the file that much is read at a time, and held.
const (
	labelBlockBytes = 8 << 10
	labelBlocks     = 512
	labelTailBytes  = 64 << 10
)

// labelBlock is a block of the file; its bytes are nil before it was read.
type labelBlock struct {
	n int64
	b []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newLogSeries makes a file in a directory of its own in parent. Close it.
func newLogSeries(parent string) (*logSeries, error) {
	dir, err := spill.MakeDir(parent)
	if err != nil {
		return nil, err
	}
	s := &logSeries{dir: dir, places: map[chunks.HeadSeriesRef]place{}, refused: map[chunks.HeadSeriesRef]bool{}, b: labels.NewScratchBuilder(16)}
	if s.f, err = os.Create(filepath.Join(dir.Path(), "labels")); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return s, nil
}

// Close removes the file.
func (s *logSeries) Close() error { return errors.Join(s.f.Close(), s.dir.Close()) }

// put notes what labels a reference has. Checkpoints and segments may say the same several times; it is written once.
func (s *logSeries) put(ref chunks.HeadSeriesRef, ls labels.Labels) error {
	s.record = binary.AppendUvarint(s.record[:0], uint64(ref))
	ls.Range(func(l labels.Label) { s.record = model.AppendText(model.AppendText(s.record, l.Name), l.Value) })
	at, known := s.places[ref]
	if known {
		if _, content, err := s.at(at.offset()); err != nil || bytes.Equal(content, s.record) {
			return err
		}
	}
	s.places[ref] = place(s.size())<<1 | at&1
	begin := len(s.tail)
	s.tail = append(s.tail, 0, 0, 0, 0)
	s.tail = append(binary.AppendUvarint(s.tail, uint64(len(s.record))), s.record...)
	binary.LittleEndian.PutUint32(s.tail[begin:], crc32.Checksum(s.tail[begin+4:], castagnoli))
	if len(s.tail) < labelTailBytes {
		return nil
	}
	whole := len(s.tail) / labelBlockBytes * labelBlockBytes
	if _, err := s.f.Write(s.tail[:whole]); err != nil {
		return fmt.Errorf("sort: %w", err)
	}
	s.end += int64(whole)
	s.tail = append(s.tail[:0], s.tail[whole:]...)
	return nil
}

// refuse notes that a reference is that of a series that is not wanted.
func (s *logSeries) refuse(ref chunks.HeadSeriesRef) {
	s.refused[ref] = true
	delete(s.places, ref)
}

// known reports whether the log names the series of a reference.
func (s *logSeries) known(ref chunks.HeadSeriesRef) bool {
	_, ok := s.places[ref]
	return ok || s.refused[ref]
}

// size is that of the file with its tail.
func (s *logSeries) size() int64 { return s.end + int64(len(s.tail)) }

// labels are those at a place.
func (s *logSeries) labels(p place) (labels.Labels, error) {
	_, content, err := s.at(p.offset())
	if err != nil {
		return labels.EmptyLabels(), err
	}
	_, n := binary.Uvarint(content)
	// Names and values are parts of one string, which the builder copies from.
	all := string(content[n:])
	s.b.Reset()
	for len(content) > n {
		var name string
		name, n = cutText(content, all, n)
		var value string
		value, n = cutText(content, all, n)
		s.b.Add(name, value)
	}
	return s.b.Labels(), nil
}

// cutText returns the text that begins at byte n of content, of which all is the end, and where the next one begins. The checksum was right, so it is there.
func cutText(content []byte, all string, n int) (text string, next int) {
	length, size := binary.Uvarint(content[n:])
	n += size
	next = n + int(length)
	skipped := len(content) - len(all)
	return all[n-skipped : next-skipped], next
}

// at returns the content of the record at an offset, the reference first, valid until the next call, and where the next record begins.
func (s *logSeries) at(offset int64) (next int64, content []byte, err error) {
	const most = 4 + binary.MaxVarintLen64
	head, err := s.view(offset, most)
	if err != nil {
		return 0, nil, err
	}
	n, size := uint64(0), 0
	if len(head) > 4 {
		n, size = binary.Uvarint(head[4:])
	}
	if size <= 0 || n > uint64(s.size()-offset) {
		return 0, nil, s.damaged(offset)
	}
	whole := 4 + size + int(n)
	b, err := s.view(offset, whole)
	if err != nil {
		return 0, nil, err
	}
	if len(b) < whole || crc32.Checksum(b[4:], castagnoli) != binary.LittleEndian.Uint32(b) {
		return 0, nil, s.damaged(offset)
	}
	return offset + int64(whole), b[4+size:], nil
}

func (s *logSeries) damaged(offset int64) error {
	return fmt.Errorf("sort: labels at byte %d of %s are not those that were written: %w", offset, s.f.Name(), model.ErrCorrupt)
}

// view returns n bytes from the offset on, fewer at the end of the file, valid until the next call.
func (s *logSeries) view(offset int64, n int) ([]byte, error) {
	if offset >= s.end {
		b := s.tail[offset-s.end:]
		return b[:min(n, len(b))], nil
	}
	begin := int(offset % labelBlockBytes)
	b, err := s.block(offset / labelBlockBytes)
	if err != nil {
		return nil, err
	}
	if begin+n <= len(b) {
		return b[begin : begin+n], nil
	}
	s.between = append(s.between[:0], b[begin:]...)
	for len(s.between) < n {
		at := offset + int64(len(s.between))
		if at >= s.end {
			rest := s.tail[at-s.end:]
			return append(s.between, rest[:min(n-len(s.between), len(rest))]...), nil
		}
		if b, err = s.block(at / labelBlockBytes); err != nil {
			return nil, err
		}
		s.between = append(s.between, b[:min(n-len(s.between), len(b))]...)
	}
	return s.between, nil
}

// block returns a block that was written.
func (s *logSeries) block(n int64) ([]byte, error) {
	slot := &s.blocks[n%labelBlocks]
	if slot.b != nil && slot.n == n {
		return slot.b, nil
	}
	if slot.b == nil {
		slot.b = make([]byte, labelBlockBytes)
	}
	slot.n = -1 // until it is read
	if _, err := s.f.ReadAt(slot.b, n*labelBlockBytes); err != nil {
		return nil, fmt.Errorf("sort: %w", err)
	}
	slot.n = n
	return slot.b, nil
}
