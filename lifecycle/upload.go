package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/varvedb/varve/model"
)

// compareBytes is how much of a taken object is fetched at a time: it may be as large as what we hold already.
const compareBytes = 4 << 20

// upload creates the object. A taken name is fine if it holds the same bytes: a lost answer, or a worker that was faster.
func (j *mergeJob) upload(ctx context.Context, key string, data []byte) error {
	if j.sinceMs == 0 {
		j.sinceMs = j.l.nowMs()
	}
	_, err := j.l.c.Bucket.PutIfAbsent(ctx, key, data)
	if !errors.Is(err, model.ErrConflict) {
		return err
	}
	same, err := j.holds(ctx, key, data)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("%s: %w", key, errNextAttempt)
	}
	return nil
}

// holds reports whether the object has these bytes and no others.
func (j *mergeJob) holds(ctx context.Context, key string, data []byte) (bool, error) {
	for at := 0; at < len(data); at += compareBytes {
		want := data[at:min(at+compareBytes, len(data))]
		have, err := j.l.c.Bucket.GetRange(ctx, key, int64(at), int64(len(want)))
		switch {
		case errors.Is(err, model.ErrNotFound), errors.Is(err, model.ErrCorrupt):
			// Collected between the two calls, not readable to us, or shorter: another name does in all cases.
			return false, nil
		case err != nil:
			return false, err
		case !bytes.Equal(have, want):
			return false, nil
		}
	}
	return j.endsAt(ctx, key, int64(len(data)))
}

// sums reports whether the object has this length and CRC-32C.
func (j *mergeJob) sums(ctx context.Context, key string, size int64, crc uint32) (bool, error) {
	table, sum := crc32.MakeTable(crc32.Castagnoli), uint32(0)
	for at := int64(0); at < size; at += compareBytes {
		have, err := j.l.c.Bucket.GetRange(ctx, key, at, min(compareBytes, size-at))
		if errors.Is(err, model.ErrNotFound) || errors.Is(err, model.ErrCorrupt) {
			return false, nil // as in holds
		}
		if err != nil {
			return false, err
		}
		sum = crc32.Update(sum, table, have)
	}
	if sum != crc {
		return false, nil
	}
	return j.endsAt(ctx, key, size)
}

// endsAt reports whether the object, which is that long at least, is no longer.
func (j *mergeJob) endsAt(ctx context.Context, key string, size int64) (bool, error) {
	_, err := j.l.c.Bucket.GetRange(ctx, key, size, 1)
	switch {
	case errors.Is(err, model.ErrCorrupt), errors.Is(err, model.ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	}
	return false, nil
}

// buffer is an io.Writer into memory that grows by little: an output is large, and doubling would hold it three times over.
type buffer struct{ b []byte }

// expect makes room for n bytes.
func (b *buffer) expect(n int64) {
	if int64(cap(b.b)) < n {
		b.b = make([]byte, 0, n)
	}
}

func (b *buffer) reset() { b.b = b.b[:0] }

func (b *buffer) Write(p []byte) (int, error) {
	if need := len(b.b) + len(p); need > cap(b.b) {
		grown := make([]byte, len(b.b), max(need, cap(b.b)+cap(b.b)/8))
		copy(grown, b.b)
		b.b = grown
	}
	b.b = append(b.b, p...)
	return len(p), nil
}
