package memfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/varvedb/varve/internal/vfs"
)

// FS is one process's view of a disk in memory.
type FS struct {
	d *disk

	mu    sync.Mutex // guards what follows; taken alone or after nothing
	hook  Hook
	calls int

	dead bool // guarded by d.mu
}

var _ vfs.FS = (*FS)(nil)

// disk is what processes share.
type disk struct {
	mu    sync.Mutex
	root  *node
	down  bool // the power is gone
	locks map[*node]*FS
	freed *sync.Cond // a lock was let go, or somebody died
	now   func() time.Time
	// renames since the last crash that a power loss must not take apart.
	renames []rename
}

func newDisk(now func() time.Time) *disk {
	d := &disk{locks: map[*node]*FS{}, now: now, root: newDir(now())}
	d.freed = sync.NewCond(&d.mu)
	return d
}

// New returns an empty file system. Modification times are zero until SetNow.
func New() *FS {
	return &FS{d: newDisk(func() time.Time { return time.Time{} })}
}

// SetNow sets the clock for modification times.
func (f *FS) SetNow(now func() time.Time) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.now = now
}

// SetHook puts the hook before every following call of this FS, and sets the count of calls to 0. Nil removes it.
func (f *FS) SetHook(h Hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook, f.calls = h, 0
}

// Calls is the number of calls since New or SetHook that a hook saw or would have seen.
func (f *FS) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Process returns another process's handle on the same disk, alive (unless the power is gone) and without a hook.
func (f *FS) Process() *FS { return &FS{d: f.d} }

// Kill stops the process as kill -9 does: its locks are free, all it wrote stays in the page cache.
func (f *FS) Kill() {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.kill()
}

func (f *FS) kill() {
	f.dead = true
	for n, owner := range f.d.locks {
		if owner == f {
			delete(f.d.locks, n)
		}
	}
	f.d.freed.Broadcast()
}

// before counts the call and asks the hook.
func (f *FS) before(op Op, name string, size int) error {
	f.mu.Lock()
	f.calls++
	call, hook := Call{N: f.calls, Op: op, Name: name, Size: size}, f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	err := hook(call)
	if errors.Is(err, ErrCrashed) {
		f.Kill()
		return ErrCrashed
	}
	return err
}

// do runs fn under the disk's lock, if the process lives, and dresses its error.
func (f *FS) do(op, name string, fn func() error) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := ErrCrashed
	if !f.dead && !f.d.down {
		err = fn()
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// change is do for a call that the hook sees.
func (f *FS) change(op Op, name string, fn func() error) error {
	if err := f.before(op, name, 0); err != nil {
		return &fs.PathError{Op: string(op), Path: name, Err: err}
	}
	return f.do(string(op), name, fn)
}

func split(name string) []string {
	name = path.Clean("/" + filepath.ToSlash(name))
	if name == "/" {
		return nil
	}
	return strings.Split(name[1:], "/")
}

// find returns the node of a name.
func (d *disk) find(name string) (*node, error) {
	n := d.root
	for _, part := range split(name) {
		if !n.dir {
			return nil, syscall.ENOTDIR
		}
		if n = n.names[part]; n == nil {
			return nil, syscall.ENOENT
		}
	}
	return n, nil
}

// parent returns the directory that holds, or would hold, the name, and its last part.
func (d *disk) parent(name string) (*node, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", syscall.EINVAL
	}
	dir, err := d.find(strings.Join(parts[:len(parts)-1], "/"))
	if err != nil {
		return nil, "", err
	}
	if !dir.dir {
		return nil, "", syscall.ENOTDIR
	}
	return dir, parts[len(parts)-1], nil
}

// Open opens a file for reading.
func (f *FS) Open(name string) (vfs.File, error) { return f.open(name, false) }

// OpenWrite opens an existing file for reading and writing.
func (f *FS) OpenWrite(name string) (vfs.File, error) { return f.open(name, true) }

func (f *FS) open(name string, write bool) (vfs.File, error) {
	var n *node
	err := f.do("open", name, func() (err error) {
		n, err = f.d.find(name)
		if err == nil && n.dir && write {
			err = syscall.EISDIR
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &file{fs: f, n: n, name: name, write: write}, nil
}

// Create makes a file for writing; it fails if the name is taken.
func (f *FS) Create(name string) (vfs.File, error) {
	var n *node
	err := f.change(OpCreate, name, func() error {
		dir, base, err := f.d.parent(name)
		if err != nil {
			return err
		}
		if dir.names[base] != nil {
			return syscall.EEXIST
		}
		n = &node{mtime: f.d.now()}
		dir.names[base] = n
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &file{fs: f, n: n, name: name, write: true}, nil
}

// MkdirAll makes the directory and its missing parents, durably.
func (f *FS) MkdirAll(name string) error {
	parts := split(name)
	for i := range parts {
		dir := "/" + strings.Join(parts[:i+1], "/")
		if info, err := f.Stat(dir); err == nil && info.IsDir() {
			continue
		}
		err := f.change(OpMkdir, dir, func() error {
			parent, base, err := f.d.parent(dir)
			if err != nil {
				return err
			}
			n := parent.names[base]
			if n == nil {
				n = newDir(f.d.now())
			}
			if !n.dir {
				return syscall.ENOTDIR
			}
			parent.names[base], parent.durableNames[base] = n, n
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ReadDir lists the entries of a directory, sorted by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	var entries []fs.DirEntry
	err := f.do("readdir", name, func() error {
		dir, err := f.d.find(name)
		if err != nil {
			return err
		}
		if !dir.dir {
			return syscall.ENOTDIR
		}
		for base, n := range dir.names {
			entries = append(entries, fs.FileInfoToDirEntry(n.info(base)))
		}
		return nil
	})
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// Stat describes a file.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	var i info
	err := f.do("stat", name, func() error {
		n, err := f.d.find(name)
		if err != nil {
			return err
		}
		i = n.info(path.Base(filepath.ToSlash(name)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return i, nil
}

// SyncDir makes the names in the directory durable.
func (f *FS) SyncDir(name string) error {
	return f.change(OpSyncDir, name, func() error {
		dir, err := f.d.find(name)
		if err != nil {
			return err
		}
		if !dir.dir {
			return syscall.ENOTDIR
		}
		dir.durableNames = make(map[string]*node, len(dir.names))
		for base, n := range dir.names {
			dir.durableNames[base] = n
		}
		f.d.forgetRenames()
		return nil
	})
}

// Map returns the file's present content.
func (f *FS) Map(name string) (vfs.Mapping, error) {
	var m mapping
	err := f.do("map", name, func() error {
		n, err := f.d.find(name)
		if err != nil {
			return err
		}
		if n.dir {
			return syscall.EISDIR
		}
		m = mapping(n.data[:len(n.data):len(n.data)])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

type mapping []byte

func (m mapping) Bytes() []byte { return m }
func (m mapping) Close() error  { return nil }

// Lock takes the exclusive lock on the file name.
func (f *FS) Lock(name string, wait bool) (io.Closer, error) {
	var n *node
	err := f.do("lock", name, func() error {
		dir, base, err := f.d.parent(name)
		if err != nil {
			return err
		}
		if n = dir.names[base]; n == nil {
			n = &node{mtime: f.d.now()}
			dir.names[base] = n
		}
		for f.d.locks[n] != nil {
			if !wait {
				return vfs.ErrLocked
			}
			f.d.freed.Wait()
			if f.dead || f.d.down {
				return ErrCrashed
			}
		}
		f.d.locks[n] = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &lock{fs: f, n: n}, nil
}

type lock struct {
	fs   *FS
	n    *node
	once sync.Once
}

func (l *lock) Close() error {
	err := os.ErrClosed
	l.once.Do(func() {
		d := l.fs.d
		d.mu.Lock()
		defer d.mu.Unlock()
		if err = nil; l.fs.dead {
			return // a dead process's locks are long gone, maybe to somebody else
		}
		delete(d.locks, l.n)
		d.freed.Broadcast()
	})
	return err
}
