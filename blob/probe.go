package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/model"
)

// Probe tries out what every commit rests on, create-if-absent and compare-and-swap, and refuses a bucket that takes the conditions
// without heeding them: such a bucket would lose data in silence, later. Writers call it at their start with their own id as owner; it leaves
// one object, probe/<owner>. An owner has one probe under way at a time.
//
// A refusal wraps model.ErrInvalid; a bucket that cannot be reached is model.ErrUnavailable, and one that refuses the writes is ErrDenied.
func (b *Bucket) Probe(ctx context.Context, owner string) error {
	p := probe{Bucket: b, key: "probe/" + owner}
	if err := p.run(ctx); err != nil {
		return fmt.Errorf("probe of the bucket: %w", err)
	}
	return nil
}

type probe struct {
	*Bucket
	key string
}

func (p *probe) run(ctx context.Context) error {
	// The bodies differ, because stores may derive the version from the bytes.
	first, second, third := []byte("varve probe 1\n"), []byte("varve probe 2\n"), []byte("varve probe 3\n")
	v1, err := p.Put(ctx, p.key, first)
	if err != nil {
		return err
	}
	if err := p.refused(ctx, "create-if-absent (If-None-Match)", first, func() error {
		_, err := p.PutIfAbsent(ctx, p.key, third)
		return err
	}); err != nil {
		return err
	}
	if _, err := p.PutIf(ctx, p.key, second, v1); err != nil && !errors.Is(err, model.ErrConflict) {
		return err
	}
	// After a conflict the first answer may just have been lost: what the object holds decides.
	if err := p.holds(ctx, second, "does not replace an object under a condition that holds (If-Match)"); err != nil {
		return err
	}
	return p.refused(ctx, "compare-and-swap (If-Match)", second, func() error {
		_, err := p.PutIf(ctx, p.key, third, v1)
		return err
	})
}

// refused makes a write whose condition does not hold and wants it refused, and the object unchanged.
func (p *probe) refused(ctx context.Context, what string, unchanged []byte, write func() error) error {
	err := write()
	if err == nil {
		return fmt.Errorf("the store ignores %s: it accepted a write whose condition did not hold, so concurrent writers would overwrite each other; "+
			"use a store that supports conditional writes: %w", what, model.ErrInvalid)
	}
	if !errors.Is(err, model.ErrConflict) {
		return err
	}
	return p.holds(ctx, unchanged, "reports a conflict of "+what+" and yet writes")
}

func (p *probe) holds(ctx context.Context, want []byte, otherwise string) error {
	got, _, err := p.Get(ctx, p.key)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the store %s: %w", otherwise, model.ErrInvalid)
	}
	return nil
}
