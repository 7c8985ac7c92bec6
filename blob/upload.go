package blob

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/model"
)

// PartStore is a Driver that can make an object of parts which come one after another, so that nobody has to hold all of it. Drivers need not be
// one: a Bucket over another Driver holds the whole object.
type PartStore interface {
	Driver
	// Begin prepares an object of parts. Nothing is visible under the key until Parts.Create.
	Begin(ctx context.Context, key string) (Parts, error)
}

// Parts is an object that is being made of parts. Errors are those of a Driver. Not safe for concurrent use; ended by Create or Abort.
type Parts interface {
	// Put stores the next part, numbered from 0. After model.ErrUnavailable it may be called again with the same number and bytes, though
	// a store that cannot take up the thread answers the same again. data is not changed, and not kept after Put returned. Parts
	// have PartBytes bytes but for the last, which may have fewer.
	Put(ctx context.Context, n int, data []byte) error
	// Create makes the object of all parts in one atomic step if the key is free, and else answers model.ErrConflict. It may be called again after
	// model.ErrUnavailable. The parts are given up when it fails for good.
	Create(ctx context.Context) (Version, error)
	// Abort gives up the parts. What a store keeps of them if it fails, or is never called, is invisible.
	Abort(ctx context.Context) error
}

// PartBytes is the size of a part: what S3 takes at least is 5 MiB, and an Upload holds one.
const PartBytes = 8 << 20

// Upload is an object that is created while it is being written, for objects too large to hold: it holds one part of it. Until Create
// nobody sees anything of it. An object of one part is a single PutIfAbsent.
//
// Write, Create and Abort are called by one goroutine; exactly one of Create and Abort ends the upload. Nothing starts a goroutine. What a process that died leaves
// is invisible, and stores delete it by themselves or by a rule (docs/bucket-policy.md).
type Upload struct {
	b     *Bucket
	ctx   context.Context //nolint:containedctx // an io.Writer: that of NewUpload, for as long as the upload lasts
	key   string
	part  []byte
	parts Parts
	n     int
	size  int64
	err   error
}

// NewUpload begins to create the object; ctx is for all that is written. It makes no request yet.
func (b *Bucket) NewUpload(ctx context.Context, key string) *Upload {
	return &Upload{b: b, ctx: ctx, key: key}
}

// Size is how many bytes were written.
func (u *Upload) Size() int64 { return u.size }

// Write implements io.Writer. After an error all that follow, and Create, fail with it.
func (u *Upload) Write(p []byte) (int, error) {
	store, streams := u.b.driver.(PartStore)
	written := 0
	for len(p) > 0 && u.err == nil {
		n := len(p)
		if streams {
			if len(u.part) == u.b.opts.PartBytes {
				u.send(store)
				continue
			}
			n = min(n, u.b.opts.PartBytes-len(u.part))
		}
		u.part = append(u.part, p[:n]...)
		p = p[n:]
		written += n
		u.size += int64(n)
	}
	return written, u.err
}

// send puts the part, for which it begins the object if it is the first.
func (u *Upload) send(store PartStore) {
	if u.parts == nil {
		u.err = u.b.try(u.ctx, opUpload, u.key, func(_ context.Context, full string) (err error) {
			// The parts outlive the time limit of this try.
			u.parts, err = store.Begin(u.ctx, full)
			return err
		})
		if u.err != nil {
			u.parts = nil
			return
		}
	}
	u.err = u.b.tryNamed(u.ctx, opUpload, u.key, func(ctx context.Context) error {
		u.b.metrics.addWritten(opUpload, len(u.part))
		return u.parts.Put(ctx, u.n, u.part)
	})
	u.n++
	u.part = u.part[:0]
}

// Create makes the object of what was written. A taken key is model.ErrConflict, which may be the doing of an earlier, lost try
// of this same call: callers read back. After an error the upload was given up, and nothing of it is visible unless the error says
// that the outcome is unknown.
func (u *Upload) Create() (Version, error) {
	if u.err != nil {
		u.Abort()
		return "", u.err
	}
	if u.parts == nil {
		return u.b.PutIfAbsent(u.ctx, u.key, u.part)
	}
	if u.send(u.b.driver.(PartStore)); u.err != nil {
		u.Abort()
		return "", u.err
	}
	u.part = nil
	retried := false
	var v Version
	err := u.b.tryNamed(u.ctx, opUpload, u.key, func(ctx context.Context) (err error) {
		v, err = u.parts.Create(ctx)
		// The first try did it and ended the upload, or did not and the store forgot: only the object itself can tell.
		if retried && errors.Is(err, model.ErrNotFound) {
			err = fmt.Errorf("the parts are gone after a lost answer: %w", model.ErrConflict)
		}
		retried = true
		return err
	})
	if err != nil {
		u.Abort()
		return "", err
	}
	return v, nil
}

// Abort gives the upload up, as well as it can: what a store keeps is invisible. It is harmless after Create.
func (u *Upload) Abort() {
	if u.parts == nil {
		return
	}
	parts := u.parts
	u.parts, u.part = nil, nil
	if u.err == nil {
		u.err = fmt.Errorf("%s %s: given up: %w", opUpload, u.key, model.ErrInvalid)
	}
	// The upload is often given up because its context has ended.
	_ = u.b.once(context.WithoutCancel(u.ctx), opUpload, parts.Abort)
}
