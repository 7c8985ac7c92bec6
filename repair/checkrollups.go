package repair

import (
	"context"
	"errors"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
)

// doReroll is what to do about rollups of a day whose raw samples are all there.
const doReroll = "run `varve rebuild --force` for this tenant and day: rollups are derived, they are made anew of the raw samples"

// rollups compares what the catalog says is in the rollups with what they were made of. A day may have none of a block that is Rolled: where there is nothing but stale
// markers, and when its rollups have expired.
func (k *checker) rollups(at place, p *catalog.Partition) {
	if len(p.Rollups) == 0 {
		return
	}
	for _, e := range p.Blocks {
		if !e.Rolled {
			continue
		}
		for _, s := range blocks.SourcesOf(e.Meta) {
			for i := range p.Rollups {
				if r := &p.Rollups[i]; !holds(r.Meta, s) {
					k.add(at.block(e.ID, e.Format), Wrong, KindRolled, doReroll,
						"the catalog has this block as rolled, and rollup %s does not have generations %d to %d of writer %s", r.ID, s.From, s.To, s.Writer)
				}
			}
		}
	}
}

// decodeRollup reads every window of a rollup.
func (k *checker) decodeRollup(ctx context.Context, at place, e *catalog.Entry) {
	ctx, cancel := context.WithCancel(ctx)
	r := blocks.NewRollupReader(ctx, k.c.reader(), e.Meta, nil, &blocks.MergeOptions{ReadBytes: k.o.ReadBytes})
	defer r.Close()
	defer cancel()
	var windows int64
	for r.Next() {
		windows += int64(r.Rollup().Len())
	}
	err := r.Err()
	var input *blocks.InputError
	if errors.As(err, &input) {
		err = input.Err
	}
	if err != nil {
		k.damage(at.block(e.ID, e.Format), err)
		return
	}
	k.count(func(r *Report) { r.Windows += windows })
}
