// Package mem is a bucket in memory, with the same conditions and errors as the
// real ones: for tests, examples and trials. Nothing survives the process.
//
// Driver is safe for concurrent use. Close forgets nothing, so that a test can close a Bucket and
// look at what it left through another one over the same Driver.
package mem

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// Driver is a blob.Driver that keeps its objects in a map.
type Driver struct {
	mu      sync.Mutex // guards what follows
	objects map[string]object
	writes  uint64

	now func() time.Time
}

// object is immutable once it is in the map.
type object struct {
	data     []byte
	version  blob.Version
	modified time.Time
}

var _ blob.Driver = (*Driver)(nil)

// New returns an empty bucket.
func New() *Driver { return NewAt(time.Now) }

// NewAt returns an empty bucket whose objects are as old as the clock says.
func NewAt(now func() time.Time) *Driver { return &Driver{objects: map[string]object{}, now: now} }

// Open is a blob.Opener for mem:// URLs. Each call gives a new, empty bucket.
func Open(_ context.Context, u *url.URL) (blob.Driver, error) {
	if u.Host != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("mem:// takes no name, each is a bucket of its own: %w", model.ErrInvalid)
	}
	if err := blob.NewParams(u).Done(); err != nil {
		return nil, err
	}
	return New(), nil
}

// Get implements blob.Driver.
func (d *Driver) Get(ctx context.Context, key string, offset, length int64, since blob.Version) (blob.GetResult, error) {
	if err := ctx.Err(); err != nil {
		return blob.GetResult{}, err
	}
	d.mu.Lock()
	o, ok := d.objects[key]
	d.mu.Unlock()
	if !ok {
		return blob.GetResult{}, model.ErrNotFound
	}
	r := blob.GetResult{Version: o.version, Size: int64(len(o.data))}
	if since != "" && since == o.version {
		r.NotModified = true
		return r, nil
	}
	from := min(max(offset, 0), r.Size)
	to := r.Size
	if length >= 0 && length < to-from {
		to = from + length
	}
	r.Data = slices.Clone(o.data[from:to])
	return r, nil
}

// Put implements blob.Driver.
func (d *Driver) Put(ctx context.Context, key string, data []byte, cond blob.Condition) (blob.Version, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	data = slices.Clone(data)
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := d.objects[key]
	if cond.Absent && ok || cond.Match != "" && old.version != cond.Match {
		return "", model.ErrConflict
	}
	d.writes++
	o := object{data: data, version: blob.Version(fmt.Sprintf("m%d", d.writes)), modified: d.now()}
	d.objects[key] = o
	return o.version, nil
}

// Delete implements blob.Driver.
func (d *Driver) Delete(ctx context.Context, keys []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range keys {
		delete(d.objects, k)
	}
	return nil
}

// List implements blob.Driver. It shows the objects of the moment when the iteration begins.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		d.mu.Lock()
		objects := maps.Clone(d.objects)
		d.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(blob.Object{}, err)
				return
			}
			o := objects[key]
			if !yield(blob.Object{Key: key, Size: int64(len(o.data)), Modified: o.modified}, nil) {
				return
			}
		}
	}
}

// Scheme implements blob.Driver.
func (d *Driver) Scheme() string { return "mem" }

// Close implements blob.Driver; it does nothing.
func (d *Driver) Close() error { return nil }
