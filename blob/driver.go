package blob

import (
	"context"
	"iter"
	"time"
)

// Driver is what a backend must be able to do, one attempt each: no retries, no
// splitting, no metrics; Bucket adds those. Wrappers that count or fail (countblob, faultblob) are Drivers too.
//
// Errors wrap model.ErrNotFound (no such key; also a refused read, see DeniedRead), model.ErrConflict (a condition did not
// hold), model.ErrUnavailable (throttled, 409, 5xx, short body, network: worth a retry; the outcome of a write is then
// unknown), model.ErrInvalid; anything else is final. They name neither operation nor key, which Bucket adds, and no secret.
// Keys satisfy ValidKey. Safe for concurrent use.
type Driver interface {
	// Get returns the bytes [offset, offset+length) of the object, to its end when length < 0, and its version. A range that
	// reaches past the end gives what there is; one that begins at or past the end gives no bytes and no error.
	// With since != "" and the object still at that version, it returns NotModified and no data (offset and length must be 0, -1).
	// The caller owns Data. A body that broke off gives what came of it, with Version and Size, beside an error that wraps model.ErrUnavailable.
	// Memory is taken for the bytes the object has, not for a length that asks for more.
	Get(ctx context.Context, key string, offset, length int64, since Version) (GetResult, error)
	// Put writes the whole object in one atomic step if the condition holds and returns its new version. With Match, a
	// missing object is model.ErrConflict. data is not changed, and not kept after Put returned.
	Put(ctx context.Context, key string, data []byte, cond Condition) (Version, error)
	// Delete removes the objects; a missing one is no error.
	Delete(ctx context.Context, keys []string) error
	// List yields the objects whose keys begin with prefix, sorted by key.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Scheme is the URL scheme, for metrics and for decisions such as whether to ship the log ("file", "mem", "s3", "gs", "azblob").
	Scheme() string
	Close() error
}

// Version is an opaque token that changes with each write of an object (ETag, GCS generation). "" is no version.
type Version string

// Condition is what must hold for a Put. The zero value holds always.
type Condition struct {
	// Absent: the key must not exist.
	Absent bool
	// Match: the object must be at this version.
	Match Version
}

// GetResult is the answer of a Get.
type GetResult struct {
	Data []byte
	// Version may be "" for a part of an object where the store tells it only for the whole (directories).
	Version Version
	// Size is the length of the whole object, or -1 where the answer did not say (a range beyond the end).
	Size        int64
	NotModified bool
}

// Object is one entry of a List.
type Object struct {
	Key      string
	Size     int64
	Modified time.Time
}

// Range is a half-open range of bytes of an object: [Offset, Offset+Length).
type Range struct {
	Offset, Length int64
}
