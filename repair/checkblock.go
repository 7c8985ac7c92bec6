package repair

import (
	"context"
	"errors"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// footer compares what the block says of itself with the catalog.
func (k *checker) footer(ctx context.Context, at place, e *catalog.Entry) bool {
	m, err := blocks.Open(ctx, k.c.reader(), at.object, e.Size)
	if err != nil {
		k.damage(at, err)
		return false
	}
	if m.ID != e.ID || m.Tenant != e.Tenant || m.Day != e.Day {
		k.add(at, Lost, KindDiffers, doRestore, "the object is block %s of %s/%s", m.ID, m.Tenant, m.Day.Dashed())
		return false
	}
	if err := blocks.SameBlock(e.Meta, m); err != nil {
		k.add(at, Lost, KindDiffers, doRestore, "%v", err)
		return false
	}
	return true
}

func (k *checker) checksum(ctx context.Context, at place, e *catalog.Entry) bool {
	sum, err := blocks.ReadChecksum(ctx, k.c.reader(), at.object, e.Size)
	switch {
	case err != nil:
		k.damage(at, err)
	case sum != e.CRC:
		k.add(at, Lost, KindDamaged, doRestore, "the checksum over all %d bytes is %08x, stored %08x", e.Size, sum, e.CRC)
	}
	// A wrong sum says that there is a fault, decoding says where.
	return err == nil
}

// damage notes a block that cannot be read.
func (k *checker) damage(at place, err error) {
	switch {
	case errors.Is(err, model.ErrVersion):
		k.add(at, Lost, KindVersion, doUpgrade, "%v", err)
	case errors.Is(err, model.ErrNotFound):
		k.add(at, Lost, KindMissing, doRestore, "%v", err)
	case errors.Is(err, model.ErrCorrupt), errors.Is(err, model.ErrInvalid), errors.Is(err, model.ErrLimit):
		k.add(at, Lost, KindDamaged, doRestore, "%v", err)
	case ctxEnded(err):
	default:
		k.add(at, Wrong, KindRefused, doRetry, "%v", err)
	}
}

func ctxEnded(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// decode reads every series of every block, those of one order together: they come from one merge, and no two of them have a sample in common.
func (k *checker) decode(ctx context.Context, at place, p *catalog.Partition, good []catalog.Entry) {
	for len(good) > 0 {
		if catalog.IsRollup(good[0].Format) {
			k.decodeRollup(ctx, at, &good[0])
			good = good[1:]
			continue
		}
		n := 1
		for n < len(good) && good[n].Order == good[0].Order && !catalog.IsRollup(good[n].Format) {
			n++
		}
		group := make([]*blocks.Meta, n)
		for i, e := range good[:n] {
			group[i] = e.Meta
		}
		good = good[n:]
		// One bad block hides the others of its group; they are looked at without it.
		for len(group) > 0 {
			bad, err := k.decodeGroup(ctx, at, group)
			if err == nil {
				break
			}
			if bad < 0 {
				k.damage(place{at.tenant, at.day, at.object}, err)
				break
			}
			k.damage(at.block(group[bad].ID, group[bad].Format), err)
			group = append(group[:bad:bad], group[bad+1:]...)
		}
	}
}

// decodeGroup reads all blocks side by side. With an error comes the index of the block that it is about, -1 if it is about none.
func (k *checker) decodeGroup(ctx context.Context, at place, group []*blocks.Meta) (bad int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	m := blocks.NewMerger(k.c.reader(), group, &blocks.MergeOptions{ReadBytes: k.o.ReadBytes})
	defer m.Close()
	defer cancel()
	for _, err := range m.Series(ctx, func() bool { return true }) {
		if err == nil {
			continue
		}
		var input *blocks.InputError
		if errors.As(err, &input) {
			for i, g := range group {
				if g.ID == input.ID {
					return i, input.Err
				}
			}
		}
		return -1, err
	}
	read, kept := m.Samples()
	k.count(func(r *Report) { r.Samples += read })
	if read != kept {
		k.add(at.block(group[0].ID, group[0].Format), Wrong, KindDouble, "nothing: queries count such samples once, and a merge removes them",
			"%d samples of this block are also in another one of the same order (%d blocks)", read-kept, len(group))
	}
	return -1, nil
}
