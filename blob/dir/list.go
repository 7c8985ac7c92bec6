package dir

import (
	"cmp"
	"context"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/blob"
)

// tmpAge is how old a temporary file must be to be taken for one left by a crash. Should its writer
// be alive after all, naming the file fails and the write is tried again.
const tmpAge = 24 * time.Hour

// List implements blob.Driver. It also removes temporary files left by crashes in the directories it walks.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		w := walk{Driver: d, ctx: ctx, prefix: prefix, yield: yield}
		parent, _ := path.Split(prefix)
		w.dir(strings.TrimSuffix(parent, "/"))
	}
}

type walk struct {
	*Driver
	ctx    context.Context // of the List call that the walk serves
	prefix string
	yield  func(blob.Object, error) bool
}

// dir yields the objects below the directory and reports whether to go on.
func (w *walk) dir(dir string) bool {
	if err := w.ctx.Err(); err != nil {
		w.yield(blob.Object{}, err)
		return false
	}
	entries, err := w.fs.ReadDir(w.path(dir))
	if isMissing(err) {
		return true
	}
	if err != nil {
		w.yield(blob.Object{}, listError(err))
		return false
	}
	// Keys sort as text, and "/" sorts behind "-" and ".": a directory's place is that of its name with the slash.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		if !w.entry(path.Join(dir, e.Name()), e) {
			return false
		}
	}
	return true
}

func (w *walk) entry(key string, e fs.DirEntry) bool {
	if strings.HasPrefix(e.Name(), ".") {
		w.sweep(key, e)
		return true
	}
	if e.IsDir() {
		if below := key + "/"; strings.HasPrefix(below, w.prefix) || strings.HasPrefix(w.prefix, below) {
			return w.dir(key)
		}
		return true
	}
	if !strings.HasPrefix(key, w.prefix) || !e.Type().IsRegular() {
		return true
	}
	info, err := e.Info()
	if isMissing(err) {
		return true // removed meanwhile
	}
	if err != nil {
		w.yield(blob.Object{}, listError(err))
		return false
	}
	return w.yield(blob.Object{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil)
}

// sweep removes an old temporary file. That it fails does not matter to a listing: somebody else removes it, or nobody may.
func (w *walk) sweep(key string, e fs.DirEntry) {
	if !strings.HasPrefix(e.Name(), tmpPrefix) || !e.Type().IsRegular() {
		return
	}
	info, err := e.Info()
	if err != nil || info.ModTime().IsZero() { // a file system without times cannot tell old from new
		return
	}
	if w.now().Sub(info.ModTime()) > tmpAge {
		_ = w.fs.Remove(w.path(key))
	}
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

// listError is writeError: a refused listing does not mean that anything is missing.
func listError(err error) error { return writeError(err) }
