package export

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// stdout is the name of standard output.
const stdout = "-"

// fileOutput is a file that gets its name when it is complete, or standard output. For one goroutine.
type fileOutput struct {
	fsys       vfs.FS
	final, tmp string
	file       vfs.File // nil for standard output
	zip        io.WriteCloser
	w          *bufio.Writer
	size       countWriter
}

// countWriter counts what goes through it.
type countWriter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// outputBuffer is what is gathered before it is written.
const outputBuffer = 256 << 10

// file begins an output. zip: names that end in .gz or .zst are compressed.
func (j *job) file(name string, zip bool) (*fileOutput, error) {
	o := &fileOutput{fsys: j.c.FS, final: name}
	if name == stdout {
		if j.c.Stdout == nil {
			return nil, fmt.Errorf("there is no standard output: %w", model.ErrInvalid)
		}
		o.size.w = j.c.Stdout
		o.w = bufio.NewWriterSize(&o.size, outputBuffer)
		return o, nil
	}
	if err := absent(o.fsys, name); err != nil {
		return nil, err
	}
	tmp, err := j.beside(name)
	if err != nil {
		return nil, err
	}
	if o.file, err = o.fsys.Create(tmp); err != nil {
		return nil, fmt.Errorf("create %s: %w", tmp, err)
	}
	o.tmp, o.size.w = tmp, o.file
	if err := o.compress(zip); err != nil {
		return nil, errors.Join(err, o.abort())
	}
	return o, nil
}

func (o *fileOutput) compress(zip bool) (err error) {
	var to io.Writer = &o.size
	switch {
	case zip && strings.HasSuffix(o.final, ".gz"):
		o.zip = gzip.NewWriter(to)
	case zip && strings.HasSuffix(o.final, ".zst"):
		o.zip, err = zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	}
	if o.zip != nil {
		to = o.zip
	}
	o.w = bufio.NewWriterSize(to, outputBuffer)
	return err
}

// beside returns a name beside another, which nobody else has.
func (j *job) beside(name string) (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(j.c.Rand, b[:]); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	return filepath.Join(filepath.Dir(name), filepath.Base(name)+".varve-export-"+hex.EncodeToString(b[:])), nil
}

// absent fails if there is something under the name.
func absent(fsys vfs.FS, name string) error {
	switch _, err := fsys.Stat(name); {
	case err == nil:
		return fmt.Errorf("%s is there already, and is left as it is: %w", name, model.ErrConflict)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("output: %w", err)
	}
}

// finish makes it durable and gives it its name.
func (o *fileOutput) finish() (int64, error) {
	if err := o.w.Flush(); err != nil {
		return 0, o.failed(err)
	}
	if o.zip != nil {
		if err := o.zip.Close(); err != nil {
			return 0, o.failed(err)
		}
	}
	if o.file == nil {
		return o.size.n, nil
	}
	if err := o.file.Sync(); err != nil {
		return 0, o.failed(err)
	}
	if err := o.file.Close(); err != nil {
		return 0, o.failed(err)
	}
	o.file = nil
	// A link, unlike a rename, does not take the place of what has come there meanwhile.
	err := o.fsys.Link(o.tmp, o.final)
	switch {
	case err == nil:
		err = o.fsys.Remove(o.tmp)
	case errors.Is(err, fs.ErrExist):
		return 0, fmt.Errorf("%s has come to be there meanwhile, and is left as it is: %w", o.final, model.ErrConflict)
	default: // a file system without links
		if err = absent(o.fsys, o.final); err == nil {
			err = o.fsys.Rename(o.tmp, o.final)
		}
	}
	if err != nil {
		return 0, o.failed(err)
	}
	o.tmp = ""
	return o.size.n, o.fsys.SyncDir(filepath.Dir(o.final))
}

func (o *fileOutput) failed(err error) error { return fmt.Errorf("write %s: %w", o.final, err) }

// abort removes what was written.
func (o *fileOutput) abort() error {
	var errs []error
	if o.file != nil {
		errs = append(errs, o.file.Close())
		o.file = nil
	}
	if o.tmp != "" {
		errs = append(errs, o.fsys.Remove(o.tmp))
		o.tmp = ""
	}
	return errors.Join(errs...)
}

// dirOutput is a directory that gets its name when everything in it is complete.
type dirOutput struct {
	fsys       vfs.FS
	final, tmp string
}

// dir begins a directory. One that is empty may be there.
func (j *job) dir(fsys vfs.FS, name string) (*dirOutput, error) {
	name = filepath.Clean(name)
	switch entries, err := fsys.ReadDir(name); {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("%s is there already and not empty, and is left as it is: %w", name, model.ErrConflict)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("output: %w", err)
	}
	tmp, err := j.beside(name)
	if err != nil {
		return nil, err
	}
	if err := fsys.MkdirAll(tmp); err != nil {
		return nil, fmt.Errorf("create %s: %w", tmp, err)
	}
	return &dirOutput{fsys: fsys, final: name, tmp: tmp}, nil
}

// finish gives it its name. Its files are synced.
func (o *dirOutput) finish() error {
	if err := o.fsys.SyncDir(o.tmp); err != nil {
		return fmt.Errorf("sync %s: %w", o.tmp, err)
	}
	if err := o.fsys.Remove(o.final); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: %w: %w", o.final, model.ErrConflict, err) // only an empty directory goes
	}
	if err := o.fsys.Rename(o.tmp, o.final); err != nil {
		return err
	}
	o.tmp = ""
	return o.fsys.SyncDir(filepath.Dir(o.final))
}

func (o *dirOutput) abort() error {
	if o.tmp == "" {
		return nil
	}
	return o.fsys.RemoveAll(o.tmp)
}
