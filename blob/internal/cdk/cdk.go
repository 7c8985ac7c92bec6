// Package cdk is what the drivers over gocloud.dev have in common: reads and
// listings through the portable API, and the translation of the answers of a
// store into the kinds of package model. What differs by provider is behind Store.
//
// Writes and deletes go through the provider's own client, which the portable bucket gives out through As: only the answer of
// the write itself tells the new version (asking afterwards could tell that of somebody else's write),
// and the portable uploader splits and copies bodies. The SDKs' retries are off; blob.Bucket
// retries, and knows what a conflict after a lost answer means.
//
// Driver is safe for concurrent use.
package cdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	gblob "gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// ContentType is that of all objects.
const ContentType = "application/octet-stream"

// Store is what differs by provider. Its errors are the SDK's own.
type Store interface {
	// SetSince makes the read that as belongs to conditional on the object having left the version.
	SetSince(as func(any) bool, since blob.Version) error
	// VersionOf is the version of the object that is being read.
	VersionOf(r *gblob.Reader) blob.Version
	// Put writes the object in one request and returns its version from the answer.
	Put(ctx context.Context, key string, data []byte, cond blob.Condition) (blob.Version, error)
	// Begin is blob.PartStore's.
	Begin(ctx context.Context, key string) (Parts, error)
	Delete(ctx context.Context, keys []string) error
	// Answer finds the HTTP answer in an error.
	Answer(err error) (Answer, bool)
	io.Closer
}

// Driver is a blob.Driver over a portable bucket.
type Driver struct {
	bucket *gblob.Bucket
	store  Store
	scheme string
}

var _ blob.Driver = (*Driver)(nil)

// New returns a driver, which closes the bucket and the store.
func New(scheme string, bucket *gblob.Bucket, store Store) *Driver {
	return &Driver{bucket: bucket, store: store, scheme: scheme}
}

// Scheme implements blob.Driver.
func (d *Driver) Scheme() string { return d.scheme }

// Close implements blob.Driver.
func (d *Driver) Close() error { return errors.Join(d.bucket.Close(), d.store.Close()) }

// Get implements blob.Driver.
func (d *Driver) Get(ctx context.Context, key string, offset, length int64, since blob.Version) (blob.GetResult, error) {
	opts := &gblob.ReaderOptions{}
	if since != "" {
		opts.BeforeRead = func(as func(any) bool) error { return d.store.SetSince(as, since) }
	}
	r, err := d.bucket.NewRangeReader(ctx, key, offset, length, opts)
	if err != nil {
		return d.noBody(ctx, err, since)
	}
	defer r.Close() // the body was read to its end, or is given up
	res := blob.GetResult{Version: d.store.VersionOf(r), Size: r.Size()}
	if since != "" && res.Version == since { // the store ignores the condition
		res.NotModified = true
		return res, nil
	}
	n := max(0, res.Size-offset)
	if length >= 0 {
		n = min(n, length)
	}
	res.Data = make([]byte, n)
	got, err := io.ReadFull(r, res.Data)
	res.Data = res.Data[:got]
	if err == nil {
		// The end of the body is where checksums are compared.
		if _, err = io.ReadFull(r, make([]byte, 1)); errors.Is(err, io.EOF) {
			return res, nil
		}
		res.Data = nil
	}
	return res, brokenBody(ctx, err)
}

// noBody turns the failure of a read that gave no body into its result.
func (d *Driver) noBody(ctx context.Context, err error, since blob.Version) (blob.GetResult, error) {
	if a, ok := d.store.Answer(err); ok {
		switch a.Status {
		case http.StatusNotModified:
			return blob.GetResult{NotModified: true, Version: since, Size: -1}, nil
		case http.StatusRequestedRangeNotSatisfiable:
			return blob.GetResult{Size: -1}, nil
		}
	}
	return blob.GetResult{}, d.fault(ctx, err, reading)
}

func brokenBody(ctx context.Context, err error) error {
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	if err == nil {
		err = errors.New("longer than it said")
	}
	return fmt.Errorf("body: %w: %w", innermost(err), model.ErrUnavailable)
}

// Put implements blob.Driver.
func (d *Driver) Put(ctx context.Context, key string, data []byte, cond blob.Condition) (blob.Version, error) {
	v, err := d.store.Put(ctx, key, data, cond)
	if err == nil {
		if v == "" {
			return "", fmt.Errorf("the answer to a write names no version: %w", model.ErrUnavailable)
		}
		return v, nil
	}
	if a, ok := d.store.Answer(err); ok && cond.Match != "" && a.Status == http.StatusNotFound && !a.noBucket() {
		return "", fmt.Errorf("%w: the object is gone", model.ErrConflict)
	}
	return "", d.fault(ctx, err, writing)
}

// Delete implements blob.Driver.
func (d *Driver) Delete(ctx context.Context, keys []string) error {
	if err := d.store.Delete(ctx, keys); err != nil {
		return d.fault(ctx, err, writing)
	}
	return nil
}

// DeleteEach calls one for each key, a few at a time, for stores without batches. A missing object (404) is no error.
func DeleteEach(ctx context.Context, keys []string, answer func(error) (Answer, bool), one func(ctx context.Context, key string) error) error {
	const parallel = 16
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, key := range keys {
		g.Go(func() error {
			err := one(ctx, key)
			if a, ok := answer(err); ok && a.Status == http.StatusNotFound && !a.noBucket() {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// List implements blob.Driver.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		it := d.bucket.List(&gblob.ListOptions{Prefix: prefix})
		for {
			o, err := it.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(blob.Object{}, d.fault(ctx, err, writing))
				return
			}
			if !yield(blob.Object{Key: o.Key, Size: o.Size, Modified: o.ModTime}, nil) {
				return
			}
		}
	}
}

// Transport returns an HTTP transport tuned for a store.
func Transport() *http.Transport { return Tune(http.DefaultTransport.(*http.Transport).Clone()) }

// Tune makes the transport keep as many idle connections to the store as reads run in parallel; the defaults of the
// SDKs keep 10 or 2, and open and close the rest in each burst.
func Tune(t *http.Transport) *http.Transport {
	const connections = 256
	t.MaxIdleConns = 0
	t.MaxIdleConnsPerHost = connections
	t.ResponseHeaderTimeout = time.Minute
	return t
}
