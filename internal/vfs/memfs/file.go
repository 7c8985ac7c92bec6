package memfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"syscall"

	"github.com/varvedb/varve/internal/vfs"
)

// file is an open file: a node and a position.
type file struct {
	fs    *FS
	n     *node
	name  string
	write bool

	pos    int64 // of the one goroutine that may use the file, ReadAt apart
	closed bool
}

var _ vfs.File = (*file)(nil)

func (f *file) Name() string { return f.name }

func (f *file) do(op string, fn func() error) error {
	return f.fs.do(op, f.name, func() error {
		if f.closed {
			return fs.ErrClosed
		}
		return fn()
	})
}

// Read and ReadAt return a bare io.EOF, as package os does.
func (f *file) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	short := false
	err = f.do("read", func() error {
		if f.n.dir {
			return syscall.EISDIR
		}
		if off < 0 {
			return fs.ErrInvalid
		}
		if off < int64(len(f.n.data)) {
			n = copy(p, f.n.data[off:])
		}
		short = n < len(p)
		return nil
	})
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

func (f *file) Write(p []byte) (n int, err error) {
	hookErr := f.fs.before(OpWrite, f.name, len(p))
	var short *ShortWrite
	switch {
	case errors.As(hookErr, &short):
		p, hookErr = p[:min(short.N, len(p))], short.Err
	case hookErr != nil:
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: hookErr}
	}
	err = f.do("write", func() error {
		if !f.write {
			return syscall.EBADF
		}
		f.n.write(f.pos, p)
		f.n.mtime = f.fs.d.now()
		f.pos += int64(len(p))
		n = len(p)
		return hookErr
	})
	return n, err
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	err := f.do("seek", func() error {
		switch whence {
		case io.SeekCurrent:
			offset += f.pos
		case io.SeekEnd:
			offset += int64(len(f.n.data))
		}
		if offset < 0 {
			return fs.ErrInvalid
		}
		f.pos = offset
		return nil
	})
	return f.pos, err
}

func (f *file) Sync() error {
	if err := f.fs.before(OpSync, f.name, 0); err != nil {
		if !errors.Is(err, ErrCrashed) {
			f.fs.d.mu.Lock()
			f.n.syncFailed()
			f.fs.d.mu.Unlock()
		}
		return &fs.PathError{Op: "sync", Path: f.name, Err: err}
	}
	return f.do("sync", func() error {
		f.n.sync()
		return nil
	})
}

func (f *file) Truncate(size int64) error {
	if err := f.fs.before(OpTruncate, f.name, int(size)); err != nil {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: err}
	}
	return f.do("truncate", func() error {
		if !f.write || size < 0 {
			return syscall.EINVAL
		}
		f.n.truncate(size)
		f.n.mtime = f.fs.d.now()
		return nil
	})
}

func (f *file) Stat() (fs.FileInfo, error) {
	var i info
	err := f.do("stat", func() error {
		i = f.n.info(path.Base(f.name))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return i, nil
}

func (f *file) Close() error {
	return f.do("close", func() error {
		f.closed = true
		return nil
	})
}
