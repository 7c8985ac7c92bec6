package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// maxUploadAgeMs is how long after its upload began a block may still be committed: an orphan that old may be collected.
const maxUploadAgeMs = model.MsPerDay

func (d *dayJob) nowMs() int64 { return d.c.Now().UnixMilli() }

// params name the block of a part: parquet if the source has all of the day, which nothing is then left to do for, else hot.
func (d *dayJob) params(generation uint64, createdMs int64) *blocks.Params {
	format := blocks.Native
	if d.e.Whole && d.rangeOf(d.e.Day) == d.e.Day.Range() {
		format = blocks.Parquet
	}
	return &blocks.Params{
		Tenant: d.cfg.Tenant, Day: d.e.Day, Writer: d.writer, Generation: generation, Attempt: d.attempts[generation],
		CreatedMs: createdMs, Format: format,
	}
}

// part builds, uploads and commits the part that the stream stands at. errAgain: the stream is used up, and the part is to be tried anew.
func (d *dayJob) part(ctx context.Context, generation uint64, s *stream) (*catalog.Partition, error) {
	params := d.params(generation, d.nowMs())
	key := blocks.KeyOf(params.Tenant, params.Day, blocks.ID(params.Writer, generation, params.Tenant, params.Day, params.Attempt), params.Format)
	have, err := d.existing(ctx, key)
	if errors.Is(err, model.ErrCorrupt) || errors.Is(err, model.ErrVersion) {
		return nil, d.nextAttempt(generation)
	}
	if err != nil {
		return nil, err
	}
	var m *blocks.Meta
	if have != nil {
		params.CreatedMs = have.CreatedMs
		m, err = blocks.Build(ctx, params, s.part(d.limits()), io.Discard)
		if err == nil && (m.Size != have.Size || m.CRC != have.CRC) {
			return nil, d.nextAttempt(generation)
		}
	} else {
		m, err = d.upload(ctx, params, key, s)
	}
	if err != nil {
		return nil, err
	}
	if d.nowMs()-params.CreatedMs > maxUploadAgeMs {
		return nil, d.nextAttempt(generation)
	}
	r, err := d.c.Catalog.Commit(ctx, m.Tenant, m.Day, catalog.Add{Writer: m.Writer, Generation: generation, Meta: m})
	if errors.Is(err, catalog.ErrDropped) {
		return nil, d.nextAttempt(generation)
	}
	if err == nil && r.Outcome == catalog.Added {
		d.count.part(m, s.rows)
	}
	return r.Partition, err
}

func (d *dayJob) nextAttempt(generation uint64) error {
	d.attempts[generation]++
	return errAgain
}

// upload builds the block into the bucket. errAgain if somebody else made the object meanwhile, or an earlier try of ours whose answer was lost.
func (d *dayJob) upload(ctx context.Context, params *blocks.Params, key string, s *stream) (*blocks.Meta, error) {
	u := d.c.Bucket.NewUpload(ctx, key)
	m, err := blocks.Build(ctx, params, s.part(d.limits()), u)
	if err != nil {
		u.Abort()
		return nil, err
	}
	if _, err := u.Create(); errors.Is(err, model.ErrConflict) {
		return nil, errAgain
	} else if err != nil {
		return nil, err
	}
	return m, nil
}

// existing is the block under the key if there is one.
func (d *dayJob) existing(ctx context.Context, key string) (*blocks.Meta, error) {
	_, size, err := d.c.Bucket.GetFirst(ctx, key, 1)
	if errors.Is(err, model.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := blocks.Open(ctx, blocks.Stored{Bucket: d.c.Bucket}, key, size)
	if err == nil && m.Writer != d.writer {
		err = fmt.Errorf("block %s is of writer %s: %w", key, m.Writer, model.ErrCorrupt)
	}
	return m, err
}
