package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/varvedb/varve/internal/vfs"
)

// writing is the segment that groups are appended to.
type writing struct {
	file  vfs.File
	name  string
	h     header
	size  int64 // written and synced
	items uint32
	index index
}

// close closes the file and forgets the segment. What is in it is synced, or void.
func (w *writing) close(current **writing) error {
	*current = nil
	if w == nil {
		return nil
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("close %s: %w", w.name, err)
	}
	return nil
}

// write makes an item durable. b is its payload behind itemHeader bytes of room.
func (w *writing) write(it item, b []byte) error {
	it.number = w.items
	putItem(b, it, b[itemHeader:], w.h.crc, w.size)
	if _, err := w.file.Write(b); err != nil {
		return fmt.Errorf("write %s at offset %d: %w", w.name, w.size, err)
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync %s at offset %d: %w", w.name, w.size, err)
	}
	w.size += int64(len(b))
	w.items++
	return nil
}

// closeItem is the close item of the segment as it stands, behind room for the item header.
func (w *writing) closeItem() []byte {
	return w.index.append(make([]byte, itemHeader, 1<<10), w.size)
}

// finishSegment closes the current segment with its end index. The caller leads.
func (l *Log) finishSegment(flags byte) error {
	w := l.current
	if err := w.write(item{typ: typeClose, flags: flags}, w.closeItem()); err != nil {
		return errors.Join(err, w.close(&l.current))
	}
	l.grown(w.size, true, flags&flagEndMark != 0)
	return w.close(&l.current)
}

// startSegment begins the next segment of the generation, durably: its header is synced under another name first. The segment before
// it, if it was not closed, is thereby ended at its valid length. With endMark the new segment is at once closed as the last one.
//
// An attempt that failed anywhere, even after the rename, can be made again: nothing was acknowledged on the ground of its file, and
// the next one renames over it. The caller leads.
func (l *Log) startSegment(endMark bool) error {
	l.mu.Lock()
	at := Position{Generation: l.generation}
	if n := len(l.segments); n > 0 && l.segments[n-1].Generation == at.Generation {
		at.Seq = l.segments[n-1].Seq + 1
	}
	w := &writing{name: l.path(at), h: header{generation: at.Generation, seq: at.Seq, prevValid: uint64(l.valid), writer: l.writer}}
	l.mu.Unlock()

	if at.Seq == 0 {
		if err := l.makeGenerationDir(at.Generation); err != nil {
			return err
		}
	}
	b := appendHeader(nil, &w.h)
	w.h.crc = le.Uint32(b[len(b)-4:])
	w.size = int64(len(b))
	if endMark {
		it := w.closeItem()
		putItem(it, item{typ: typeClose, flags: flagEndMark}, it[itemHeader:], w.h.crc, w.size)
		b = append(b, it...)
		w.size = int64(len(b))
	}
	file, err := replaceFile(l.fs, w.name, b)
	if err != nil {
		return err
	}
	w.file = file
	l.started(SegmentInfo{Generation: at.Generation, Seq: at.Seq, Bytes: w.size, Closed: endMark, EndMark: endMark})
	l.current = w
	if endMark {
		return w.close(&l.current)
	}
	return nil
}

// started adds a segment; the one before it is final now.
func (l *Log) started(info SegmentInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.segments); n > 0 {
		l.segments[n-1].Closed = true
	}
	l.segments = append(l.segments, info)
	l.valid = info.Bytes
}

// makeGenerationDir makes the directory of a generation. An earlier attempt may have made it without living to sync
// its name, so that is done in any case.
func (l *Log) makeGenerationDir(generation uint64) error {
	dir := l.generationDir(generation)
	if err := l.fs.MkdirAll(dir); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", l.dir, err)
	}
	return nil
}

// replaceFile makes name a new file with the content b, whole and durable or not at all, and returns it open for appending.
func replaceFile(fsys vfs.FS, name string, b []byte) (vfs.File, error) {
	tmp := name + tmpSuffix
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old %s: %w", tmp, err)
	}
	f, err := fsys.Create(tmp)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", tmp, err)
	}
	err = func() error {
		if _, err := f.Write(b); err != nil {
			return fmt.Errorf("write %s: %w", tmp, err)
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", tmp, err)
		}
		if err := fsys.Rename(tmp, name); err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
		if err := fsys.SyncDir(path.Dir(name)); err != nil {
			return fmt.Errorf("sync directory of %s: %w", name, err)
		}
		return nil
	}()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
