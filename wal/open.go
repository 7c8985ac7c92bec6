package wal

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

const (
	tmpSuffix  = ".tmp"  // a file that is not complete yet
	goneSuffix = ".gone" // a generation that is being removed
)

// Open opens the log of the writer below dir, or makes an empty one. It reads and checks all segments, repairs a torn tail,
// and returns ErrCorrupt (with file and offset) for any other damage.
//
// Unless the last generation was ended, it is the current one, and has to be ended with EndGeneration before the first Append.
// The caller holds the lock of the data directory. Close the log after use.
func Open(fsys vfs.FS, dir, writer string, opts *Options) (*Log, error) {
	if writer == "" || len(writer) > 255 {
		return nil, fmt.Errorf("open log of writer %q: %w", writer, model.ErrInvalid)
	}
	l := &Log{fs: fsys, dir: path.Join(dir, "wal", writer), writer: writer, opts: opts.withDefaults()}
	l.idle, l.room = sync.NewCond(&l.mu), sync.NewCond(&l.mu)
	if err := l.makeDirs(dir); err != nil {
		return nil, fmt.Errorf("open log %s: %w", l.dir, err)
	}
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("open log %s: %w", l.dir, err)
	}
	l.pending = l.newGroup()
	return l, nil
}

// makeDirs makes the log's directories, and syncs those that are there: the process that made them may not have lived to.
func (l *Log) makeDirs(dir string) error {
	if err := l.fs.MkdirAll(l.dir); err != nil {
		return err
	}
	for _, d := range []string{dir, path.Join(dir, "wal"), l.dir} {
		if err := l.fs.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// load finds out what the log holds.
func (l *Log) load() error {
	found, newest, err := l.list()
	if err != nil {
		return err
	}
	if err := checkOrder(found, l); err != nil {
		return err
	}
	if err := l.check(found); err != nil {
		return err
	}
	l.generation = max(l.opts.FirstGeneration, newest)
	n := len(l.segments)
	switch {
	case n == 0:
	case l.segments[n-1].EndMark:
		l.generation = max(newest, l.segments[n-1].Generation+1)
	case l.segments[n-1].Generation != newest:
		return fmt.Errorf("%s: no end mark, though generation %d follows: %w", l.path(found[n-1]), newest, model.ErrCorrupt)
	default:
		l.generation, l.replayed = newest, true
	}
	return nil
}

// list returns the segments in order and the newest generation that has a directory, and sweeps what unfinished calls left.
func (l *Log) list() (found []Position, newest uint64, err error) {
	entries, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		name := path.Join(l.dir, e.Name())
		if strings.HasSuffix(e.Name(), goneSuffix) || strings.HasSuffix(e.Name(), tmpSuffix) {
			if err := l.fs.RemoveAll(name); err != nil {
				return nil, 0, err
			}
			continue
		}
		generation, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil || l.generationDir(generation) != name || !e.IsDir() {
			continue
		}
		newest = max(newest, generation)
		seqs, err := l.listGeneration(generation)
		if err != nil {
			return nil, 0, err
		}
		found = append(found, seqs...)
	}
	slices.SortFunc(found, Position.compare)
	return found, newest, nil
}

func (l *Log) listGeneration(generation uint64) (found []Position, err error) {
	dir := l.generationDir(generation)
	if err := l.fs.SyncDir(dir); err != nil {
		return nil, err
	}
	entries, err := l.fs.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if strings.HasSuffix(name, tmpSuffix) {
			if err := l.fs.Remove(name); err != nil {
				return nil, err
			}
			continue
		}
		seq, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), ".wal"), 10, 64)
		if p := (Position{generation, seq}); err == nil && l.path(p) == name {
			found = append(found, p)
		}
	}
	return found, nil
}

// compare orders positions as the log does.
func (p Position) compare(o Position) int {
	switch {
	case p.Generation < o.Generation || p.Generation == o.Generation && p.Seq < o.Seq:
		return -1
	case p == o:
		return 0
	}
	return 1
}

// checkOrder reports a hole in the log: every generation is complete from seq 0, and none is skipped.
func checkOrder(found []Position, l *Log) error {
	for i, p := range found {
		want := Position{p.Generation, 0}
		if i > 0 {
			last := found[i-1]
			if want = (Position{last.Generation, last.Seq + 1}); p.Generation != last.Generation {
				want = Position{last.Generation + 1, 0}
			}
		}
		if p != want {
			return fmt.Errorf("%s: missing, though %s is there: %w", l.path(want), l.path(p), model.ErrCorrupt)
		}
	}
	return nil
}

// check reads all segments, repairs the last, and fills in l.segments.
func (l *Log) check(found []Position) error {
	var buf []byte
	headers := make([]*header, len(found))
	for i, p := range found {
		h, err := l.readHeader(p)
		if err != nil {
			return err
		}
		headers[i] = h
	}
	for i, p := range found {
		name := l.path(p)
		data, err := readFile(l.fs, name, buf)
		if err != nil {
			return err
		}
		buf = data
		var s *Segment
		if i+1 < len(found) {
			s, err = ParseSegment(data, &ParseOptions{Name: name, Valid: int64(headers[i+1].prevValid)})
			if err == nil && s.EndMark != (found[i+1].Generation != p.Generation) {
				err = fmt.Errorf("%s at offset %d: end mark does not fit the next segment: %w", name, len(s.data), model.ErrCorrupt)
			}
		} else {
			s, err = l.repair(name, data, headers[i])
		}
		if err != nil {
			return err
		}
		l.segments = append(l.segments, SegmentInfo{
			Generation: p.Generation, Seq: p.Seq, Bytes: int64(len(s.data)),
			Closed: s.Closed || s.Fence || i+1 < len(found), EndMark: s.EndMark, Fence: s.Fence,
		})
		l.valid = int64(len(s.data))
	}
	return nil
}

// readHeader reads the header of a segment and checks that it is in its place.
func (l *Log) readHeader(p Position) (*header, error) {
	name := l.path(p)
	f, err := l.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, maxHeader)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	h, err := parseHeader(b[:n])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if h.writer != l.writer || h.generation != p.Generation || h.seq != p.Seq {
		return nil, fmt.Errorf("%s: header at offset 16: it belongs to %s: %w", name, SegmentKey(h.writer, h.generation, h.seq), model.ErrCorrupt)
	}
	return h, nil
}

// repair parses the last segment and replaces its file by a new one with the part that counts. Also an undamaged file
// is replaced: if its last fsync failed before a kill -9, what we have just read may be in the page cache only, and no further fsync
// of that file would say so.
func (l *Log) repair(name string, data []byte, h *header) (*Segment, error) {
	s, at, wrong := scan(data, h)
	if wrong != "" {
		if s.Closed || s.Fence {
			return nil, fmt.Errorf("%s at offset %d: %s: %w", name, at, wrong, model.ErrCorrupt)
		}
		if behind, found := itemBehind(data, h, at); found {
			return nil, fmt.Errorf("%s at offset %d: %s, and what follows at offset %d shows that it was whole: %w", name, at, wrong, behind, model.ErrCorrupt)
		}
		s.data = data[:at]
	}
	f, err := replaceFile(l.fs, name, s.data)
	if err != nil {
		return nil, err
	}
	return s, f.Close()
}

// resize returns buf with length n. One that is too small is replaced by one with an eighth more: the segments of a log are nearly equal, and one
// buffer is to do for all of them.
func resize(buf []byte, n int64) []byte {
	if int64(cap(buf)) < n {
		buf = make([]byte, n, n+n/8)
	}
	return buf[:n]
}

// readFile reads a whole file into buf, grown as needed.
func readFile(fsys vfs.FS, name string, buf []byte) (_ []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	buf = resize(buf, info.Size())
	if _, err := io.ReadFull(f, buf); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return buf, nil
}
