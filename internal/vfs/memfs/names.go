package memfs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// rename is one that is not durable yet at both ends, of a file that has a durable name to lose.
type rename struct {
	fromDir, toDir *node
	from, to       string
	n              *node
}

// Rename renames a file, replacing what the new name meant.
func (f *FS) Rename(from, to string) error {
	return f.two(OpRename, from, to, func() error {
		fromDir, fromBase, n, err := f.d.entry(from)
		if err != nil {
			return err
		}
		toDir, toBase, err := f.d.parent(to)
		if err != nil {
			return err
		}
		old := toDir.names[toBase]
		switch {
		case old == n:
			return nil
		case old != nil && old.dir != n.dir:
			return syscall.EISDIR
		case old != nil && old.dir && len(old.names) > 0:
			return syscall.ENOTEMPTY
		case n.dir && strings.HasPrefix(path.Clean("/"+to)+"/", path.Clean("/"+from)+"/"):
			return syscall.EINVAL // a directory into itself
		}
		delete(fromDir.names, fromBase)
		toDir.names[toBase] = n
		if fromDir.durableNames[fromBase] == n || f.d.renamedBefore(n) {
			f.d.renames = append(f.d.renames, rename{fromDir, toDir, fromBase, toBase, n})
		}
		return nil
	})
}

func (d *disk) renamedBefore(n *node) bool {
	for _, r := range d.renames {
		if r.n == n {
			return true
		}
	}
	return false
}

// Link makes a second name for a file.
func (f *FS) Link(from, to string) error {
	return f.two(OpLink, from, to, func() error {
		_, _, n, err := f.d.entry(from)
		if err != nil {
			return err
		}
		toDir, toBase, err := f.d.parent(to)
		if err != nil {
			return err
		}
		if n.dir {
			return syscall.EPERM
		}
		if toDir.names[toBase] != nil {
			return syscall.EEXIST
		}
		toDir.names[toBase] = n
		return nil
	})
}

// Remove removes a file or an empty directory.
func (f *FS) Remove(name string) error {
	return f.change(OpRemove, name, func() error {
		dir, base, n, err := f.d.entry(name)
		if err != nil {
			return err
		}
		if len(n.names) > 0 {
			return syscall.ENOTEMPTY
		}
		delete(dir.names, base)
		return nil
	})
}

// RemoveAll removes a file or a directory with all in it, one call of OpRemove for each.
func (f *FS) RemoveAll(name string) error {
	info, err := f.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := f.ReadDir(name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := f.RemoveAll(path.Join(name, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := f.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// entry returns the directory and the node of a name that exists.
func (d *disk) entry(name string) (dir *node, base string, n *node, err error) {
	if dir, base, err = d.parent(name); err != nil {
		return nil, "", nil, err
	}
	if n = dir.names[base]; n == nil {
		return nil, "", nil, syscall.ENOENT
	}
	return dir, base, n, nil
}

// two is change for a call with two names, whose error is an *os.LinkError.
func (f *FS) two(op Op, from, to string, fn func() error) error {
	err := f.change(op, to, fn)
	var p *fs.PathError
	if errors.As(err, &p) {
		return &os.LinkError{Op: string(op), Old: from, New: to, Err: p.Err}
	}
	return err
}

// forgetRenames drops the renames that are durable at both ends.
func (d *disk) forgetRenames() {
	var open []rename
	for _, r := range d.renames {
		if r.fromDir.durableNames[r.from] == r.n || r.toDir.durableNames[r.to] != r.n && r.toDir.names[r.to] == r.n {
			open = append(open, r)
		}
	}
	d.renames = open
}
