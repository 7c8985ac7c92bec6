package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

const (
	tmpPrefix = ".tmp-"
	lockDir   = ".locks"
	locks     = 64
)

// Driver is a blob.Driver over a directory.
type Driver struct {
	fs   vfs.FS
	root string
	now  func() time.Time
	tmp  atomic.Uint64 // numbers temporary files
	// reached holds the directories whose names, and those of their parents, are known to be durable.
	reached sync.Map
}

var _ blob.Driver = (*Driver)(nil)

// New returns a driver over the directory root of the file system, which it makes if it is missing.
func New(fsys vfs.FS, root string) (*Driver, error) {
	if err := fsys.MkdirAll(root); err != nil {
		return nil, fmt.Errorf("directory bucket: %w", err)
	}
	return &Driver{fs: fsys, root: filepath.Clean(root), now: time.Now}, nil
}

// Open is a blob.Opener for file:///DIRECTORY. Without create=true the directory must exist, so
// that a mistyped path is not taken for an empty bucket.
func Open(_ context.Context, u *url.URL) (blob.Driver, error) {
	p := blob.NewParams(u)
	create := p.Bool("create")
	if err := p.Done(); err != nil {
		return nil, err
	}
	if u.Host != "" || u.Path == "" {
		return nil, fmt.Errorf("file URLs are file:///absolute/path, with three slashes: %w", model.ErrInvalid)
	}
	root := filepath.FromSlash(u.Path)
	info, err := os.Stat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !create:
		return nil, fmt.Errorf("directory %s does not exist (create=true makes it): %w", root, model.ErrNotFound)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err == nil && !info.IsDir():
		return nil, fmt.Errorf("%s is not a directory: %w", root, model.ErrInvalid)
	}
	return New(vfs.OS{}, root)
}

// Scheme implements blob.Driver.
func (d *Driver) Scheme() string { return "file" }

// Close implements blob.Driver; it does nothing.
func (d *Driver) Close() error { return nil }

func (d *Driver) path(key string) string { return filepath.Join(d.root, filepath.FromSlash(key)) }

// Get implements blob.Driver.
func (d *Driver) Get(ctx context.Context, key string, offset, length int64, since blob.Version) (blob.GetResult, error) {
	if err := ctx.Err(); err != nil {
		return blob.GetResult{}, err
	}
	f, err := d.fs.Open(d.path(key))
	if err != nil {
		return blob.GetResult{}, readError(err)
	}
	defer f.Close() // read only: nothing is lost if it fails
	info, err := f.Stat()
	if err != nil {
		return blob.GetResult{}, readError(err)
	}
	if info.IsDir() {
		return blob.GetResult{}, model.ErrNotFound
	}
	r := blob.GetResult{Size: info.Size()}
	from := min(offset, r.Size)
	n := r.Size - from
	if length >= 0 {
		n = min(n, length)
	}
	r.Data = make([]byte, n)
	if got, err := f.ReadAt(r.Data, from); int64(got) < n {
		// An object never changes, so a file shorter than it said is the disk's fault.
		r.Data = r.Data[:got]
		return r, readError(fmt.Errorf("read: %w", noEOF(err)))
	}
	if n == r.Size {
		r.Version = versionOf(r.Data)
	}
	if since != "" && r.Version == since {
		r.NotModified, r.Data = true, nil
	}
	return r, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) || err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Put implements blob.Driver.
func (d *Driver) Put(ctx context.Context, key string, data []byte, cond blob.Condition) (blob.Version, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	name := d.path(key)
	// Losers are usually known before they have written anything.
	if err := d.check(ctx, key, cond); err != nil {
		return "", d.conflict(name, err)
	}
	tmp, err := d.writeTemp(filepath.Dir(name), data)
	if err != nil {
		return "", writeError(err)
	}
	if cond.Absent {
		err = d.create(tmp, name)
	} else {
		err = d.replace(ctx, tmp, name, key, cond)
	}
	if err != nil {
		return "", err
	}
	return versionOf(data), nil
}

// create gives the temporary file its name if the name is free.
func (d *Driver) create(tmp, name string) error {
	err := d.fs.Link(tmp, name)
	// The temporary name has done its work either way. If it stays, List removes it some day.
	_ = d.fs.Remove(tmp)
	if errors.Is(err, fs.ErrExist) {
		return d.conflict(name, model.ErrConflict)
	}
	if err != nil {
		return writeError(err)
	}
	return d.syncParent(name)
}

// replace gives the temporary file its name, in place of what has it now, if the condition holds.
func (d *Driver) replace(ctx context.Context, tmp, name, key string, cond blob.Condition) (err error) {
	renamed := false
	defer func() {
		if !renamed {
			_ = d.fs.Remove(tmp)
		}
	}()
	unlock, err := d.lock(key)
	if err != nil {
		return writeError(err)
	}
	defer func() {
		if cerr := unlock.Close(); cerr != nil && err == nil {
			err = writeError(cerr)
		}
	}()
	if err := d.check(ctx, key, cond); err != nil {
		return d.conflict(name, err)
	}
	if err := d.fs.Rename(tmp, name); err != nil {
		return writeError(err)
	}
	renamed = true
	return d.syncParent(name)
}

// check returns model.ErrConflict if the condition does not hold now.
func (d *Driver) check(ctx context.Context, key string, cond blob.Condition) error {
	switch {
	case cond.Absent:
		info, err := d.fs.Stat(d.path(key))
		if err == nil && info.IsDir() {
			return writeError(syscall.EISDIR)
		}
		if err == nil {
			return model.ErrConflict
		}
		if isMissing(err) {
			return nil
		}
		return writeError(err)
	case cond.Match != "":
		r, err := d.Get(ctx, key, 0, -1, "")
		if err == nil && r.Version != cond.Match || errors.Is(err, model.ErrNotFound) && !blob.IsDenied(err) {
			return model.ErrConflict
		}
		return err
	}
	return nil
}

// conflict makes durable what its reader will find when it reads back: another writer may
// have named it and not yet fsynced the directory.
func (d *Driver) conflict(name string, err error) error {
	if errors.Is(err, model.ErrConflict) {
		serr := d.fs.SyncDir(filepath.Dir(name))
		if serr == nil {
			serr = d.reach(filepath.Dir(name))
		}
		if serr != nil && !isMissing(serr) {
			return writeError(serr)
		}
	}
	return err
}

// reach makes the names of the directory and of its parents below the root durable, once: whoever made them may have been killed before
// it got to that, or may be about to do it.
func (d *Driver) reach(dir string) error {
	if _, done := d.reached.Load(dir); done {
		return nil
	}
	for p := dir; p != d.root && p != filepath.Dir(p); p = filepath.Dir(p) {
		if err := d.fs.SyncDir(filepath.Dir(p)); err != nil {
			return err
		}
	}
	d.reached.Store(dir, nil)
	return nil
}

func (d *Driver) syncParent(name string) error {
	if err := d.fs.SyncDir(filepath.Dir(name)); err != nil {
		return writeError(err)
	}
	return nil
}

// lock takes the lock of the key. Whoever holds it may replace or remove the object.
func (d *Driver) lock(key string) (io.Closer, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	name := filepath.Join(d.root, lockDir, fmt.Sprintf("%02x", h.Sum32()%locks))
	l, err := d.fs.Lock(name, true)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.fs.MkdirAll(filepath.Dir(name)); err != nil {
			return nil, err
		}
		l, err = d.fs.Lock(name, true)
	}
	return l, err
}

// writeTemp writes data into a new, fsynced file of the directory and returns its name. After an error there is none.
func (d *Driver) writeTemp(dir string, data []byte) (string, error) {
	f, err := d.createTemp(dir)
	if isMissing(err) {
		if err := d.fs.MkdirAll(dir); err != nil {
			return "", err
		}
		f, err = d.createTemp(dir)
	}
	if err != nil {
		return "", err
	}
	name := f.Name()
	if err := d.reach(dir); err != nil {
		_ = d.fs.Remove(name)
		return "", errors.Join(err, f.Close())
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		_ = d.fs.Remove(name)
		return "", err
	}
	return name, nil
}

// createTemp makes a temporary file. Names left by a crash, of a process that had our id, are passed over.
func (d *Driver) createTemp(dir string) (vfs.File, error) {
	for {
		name := fmt.Sprintf("%s%d-%d", tmpPrefix, d.tmp.Add(1), os.Getpid())
		f, err := d.fs.Create(filepath.Join(dir, name))
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// Delete implements blob.Driver.
func (d *Driver) Delete(ctx context.Context, keys []string) error {
	parents := map[string]bool{}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.remove(key); err != nil {
			return err
		}
		parents[path.Dir(key)] = true
	}
	for p := range parents {
		if err := d.fs.SyncDir(d.path(p)); err != nil && !isMissing(err) {
			return writeError(err)
		}
	}
	return nil
}

func (d *Driver) remove(key string) error {
	name := d.path(key)
	info, err := d.fs.Stat(name)
	if isMissing(err) || err == nil && info.IsDir() {
		return nil
	}
	unlock, err := d.lock(key)
	if err != nil {
		return writeError(err)
	}
	err = d.fs.Remove(name)
	if isMissing(err) {
		err = nil
	}
	if err = errors.Join(err, unlock.Close()); err != nil {
		return writeError(err)
	}
	return nil
}

func versionOf(data []byte) blob.Version {
	sum := sha256.Sum256(data)
	return blob.Version(hex.EncodeToString(sum[:16]))
}

// isMissing also covers a key below another object: nothing can be there.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func readError(err error) error {
	switch {
	case isMissing(err), errors.Is(err, syscall.EISDIR):
		return model.ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		return blob.DeniedRead(err.Error())
	}
	return transient(err)
}

func writeError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", blob.ErrDenied, err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("a directory bucket cannot hold both an object and others below its key: %w: %w", model.ErrInvalid, err)
	case errors.Is(err, model.ErrConflict), errors.Is(err, model.ErrInvalid), errors.Is(err, model.ErrUnavailable), errors.Is(err, blob.ErrDenied):
		return err
	}
	return transient(err)
}

// transient marks what the system refused just now, such as a full disk, as worth a retry. Other errors are final.
func transient(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", model.ErrUnavailable, err)
	}
	return err
}
