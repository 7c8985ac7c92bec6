package ingester

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/model"
)

// committer uploads built blocks and adds them to their catalogs. Flush and adoption do it the same way, which is
// what makes them harmless to each other.
type committer struct {
	bucket  *blob.Bucket
	catalog *catalog.Store
	nowMs   func() int64
	// deleted is told of tenants that were; nil if nobody wants to know.
	deleted func(tenant string)
}

// upload is how far the upload of one block has come.
type upload struct {
	// done: the object of the current attempt is in the bucket.
	done bool
	// sinceMs is when its upload began, or a bound below that.
	sinceMs int64
}

// maxUploadAgeMs is how long after its upload a block may still be committed: an orphan that old may be collected.
const maxUploadAgeMs = model.MsPerDay

// maxAttempts bounds the attempt numbers of one block; a handful happens when crashes and adopters meet.
const maxAttempts = 1000

// block is a built block: what the committer sends.
type block struct {
	meta *blocks.Meta
	data []byte
}

// commit makes b, or the same samples under another attempt number, part of the catalog. next gives the block of a further
// attempt. A result of nil means that the catalog holds the samples of b's writer and generation, by this block or another; or that
// the tenant was deleted, and its samples with it.
func (c *committer) commit(ctx context.Context, b block, u *upload, next func(ctx context.Context, attempt uint32) (block, error)) (catalog.Outcome, error) {
	for range maxAttempts {
		if u.sinceMs == 0 || c.nowMs()-u.sinceMs <= maxUploadAgeMs {
			outcome, err := c.tryAttempt(ctx, b, u)
			switch {
			case errors.Is(err, catalog.ErrGravestone):
				if c.deleted != nil {
					c.deleted(b.meta.Tenant)
				}
				return catalog.Superseded, nil
			case err == nil, !errors.Is(err, errNextAttempt):
				return outcome, err
			}
		}
		var err error
		if b, err = next(ctx, b.meta.Attempt+1); err != nil {
			return 0, err
		}
		*u = upload{}
	}
	return 0, fmt.Errorf("block of %s %s: %d names are taken by other bytes: %w", b.meta.Tenant, b.meta.Day, maxAttempts, model.ErrCorrupt)
}

// errNextAttempt says that this attempt's name cannot be used.
var errNextAttempt = errors.New("name is taken or dropped")

func (c *committer) tryAttempt(ctx context.Context, b block, u *upload) (catalog.Outcome, error) {
	if !u.done {
		if err := c.put(ctx, b, u); err != nil {
			return 0, err
		}
	}
	r, err := c.catalog.Commit(ctx, b.meta.Tenant, b.meta.Day, catalog.Add{Writer: b.meta.Writer, Generation: b.meta.Generation, Meta: b.meta})
	if errors.Is(err, catalog.ErrDropped) {
		return 0, errNextAttempt
	}
	return r.Outcome, err
}

// put uploads the block. A taken name is fine if it holds the same bytes: a lost answer, an earlier process, or an adopter.
func (c *committer) put(ctx context.Context, b block, u *upload) error {
	key := blocks.Key(b.meta)
	if u.sinceMs == 0 {
		u.sinceMs = c.nowMs()
	}
	_, err := c.bucket.PutIfAbsent(ctx, key, b.data)
	if errors.Is(err, model.ErrConflict) {
		have, _, gerr := c.bucket.Get(ctx, key)
		switch {
		case errors.Is(gerr, model.ErrNotFound):
			// Collected between the two calls, or not readable to us: another name does in both cases.
			return errNextAttempt
		case gerr != nil:
			return gerr
		case len(have) != len(b.data) || blocks.Checksum(have) != b.meta.CRC:
			return errNextAttempt
		}
		u.sinceMs = min(u.sinceMs, b.meta.CreatedMs)
		err = nil
		if c.nowMs()-u.sinceMs > maxUploadAgeMs {
			return errNextAttempt
		}
	}
	if err != nil {
		return err
	}
	u.done = true
	return nil
}

// flushed reports whether the catalog holds the writer's generation of the partition already.
func (c *committer) flushed(ctx context.Context, key partitionKey, writer string, gen uint64) (bool, error) {
	p, err := c.catalog.Partition(ctx, key.tenant, key.day, nil)
	if err != nil {
		return false, err
	}
	return p.FlushedThrough(writer, gen) && !planted.On(planted.SkipFlushed), nil
}
