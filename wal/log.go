package wal

import (
	"errors"
	"fmt"
	"path"
	"sync"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// ErrBroken is the error of Appends in a generation one of whose groups could not be made durable, until EndGeneration
// has put a fresh segment behind it. It is model.ErrUnavailable: the same write may pass a moment later.
var ErrBroken = fmt.Errorf("generation of the log is broken: %w", model.ErrUnavailable)

var (
	errClosed   = errors.New("log is closed")
	errReplayed = errors.New("the generation was replayed and has to be ended first")
)

// Options are the tunables of a Log.
type Options struct {
	// SegmentBytes is the size at which a segment is closed. A group that is larger by itself makes a larger one. Default 8 MiB.
	SegmentBytes int64
	// PendingBytes is the size of the gathering group at which Append waits for the disk before it encodes. Default 16 MiB.
	PendingBytes int
	// FirstGeneration is the generation of a log that has no files. Default 1.
	FirstGeneration uint64
}

func (o *Options) withDefaults() Options {
	var filled Options
	if o != nil {
		filled = *o
	}
	if filled.SegmentBytes <= 0 {
		filled.SegmentBytes = 8 << 20
	}
	if filled.PendingBytes <= 0 {
		filled.PendingBytes = 16 << 20
	}
	if filled.FirstGeneration == 0 {
		filled.FirstGeneration = 1
	}
	return filled
}

// SegmentInfo describes a local segment.
type SegmentInfo struct {
	Generation, Seq uint64
	// Bytes is the length that counts.
	Bytes int64
	// Closed: the segment will never change, and may be shipped.
	Closed bool
	// EndMark: it is the last of its generation.
	EndMark bool
	// Fence: it is no segment but a fence, copied here from the bucket.
	Fence bool
}

// Log is the local log of one writer. Safe for concurrent use.
type Log struct {
	fs     vfs.FS
	dir    string // of the writer: <data directory>/wal/<writer>
	writer string
	opts   Options

	mu sync.Mutex // guards what follows; not held during I/O
	// leader: somebody writes segments. idle is signaled when he ends.
	leader bool
	idle   *sync.Cond
	// pending is the group that gathers; room is signaled when it was taken for writing.
	pending *group
	room    *sync.Cond
	spare   []byte // the buffer of the last written group, for the next but one
	// ending holds back Appends while the generation changes.
	ending  bool
	encoder Encoder

	generation uint64
	replayed   bool
	closed     bool
	broken     error // wraps ErrBroken
	segments   []SegmentInfo
	// valid is the length of the last segment, also when it was released; 0 if unknown.
	valid int64

	current *writing // used by the leader only

	releasing sync.Mutex // one Release at a time
}

// Position names a segment of a log.
type Position struct{ Generation, Seq uint64 }

// Generation is the current generation: the one that Append writes to, or, after Open, the last one if it was not ended.
func (l *Log) Generation() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.generation
}

// Err is nil, or why the current generation takes no more records (it wraps ErrBroken).
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Segments returns all local segments in the order of the log.
func (l *Log) Segments() []SegmentInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]SegmentInfo(nil), l.segments...)
}

// Bytes is the length of all local segments.
func (l *Log) Bytes() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.segments {
		n += l.segments[i].Bytes
	}
	return n
}

// Close lets go of the open file. Nobody may be in a call of the log, except to wait for a group, which fails.
func (l *Log) Close() error {
	l.lead()
	l.mu.Lock()
	l.closed = true
	l.failPending(errClosed)
	l.mu.Unlock()
	defer l.yield()
	return l.current.close(&l.current)
}

// lead waits until nobody writes segments and takes that right; yield gives it back.
func (l *Log) lead() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.leader {
		l.idle.Wait()
	}
	l.leader = true
}

func (l *Log) yield() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.yieldLocked()
}

// yieldLocked wakes one that may lead next: of the waiters of the gathering group, and of those that
// want to cut or end. Whoever comes second waits again.
func (l *Log) yieldLocked() {
	l.leader = false
	l.pending.done.Signal()
	l.idle.Signal()
}

func (l *Log) generationDir(generation uint64) string {
	return path.Join(l.dir, fmt.Sprintf("%010d", generation))
}

func (l *Log) path(p Position) string {
	return path.Join(l.generationDir(p.Generation), fmt.Sprintf("%08d.wal", p.Seq))
}
