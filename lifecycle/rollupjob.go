package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// rollupFormats are those of a day's rollups: all are made at once.
var rollupFormats = [...]blocks.Format{blocks.Rollup5m, blocks.Rollup1h}

// rollJob is one roll-up being carried out.
type rollJob struct {
	mergeJob
	roll *Roll
	// old are the rollups that are read, by input of the job's masks after the raw ones.
	old      []*blocks.Meta
	oldMasks []blocks.Masks
}

// rollUp claims and carries out a roll-up planned on p. Its outcomes are those of merge.
func (l *Lifecycle) rollUp(ctx context.Context, p *catalog.Partition, roll *Roll, r *Report) (result string, err error) {
	if roll.Masked {
		if result, err := l.settleRollups(ctx, p, roll, r); result != "" {
			return result, err
		}
	}
	j := &rollJob{roll: roll, mergeJob: mergeJob{
		l: l, tenant: p.Tenant, day: p.Day, job: roll.Job(), kind: jobRollup, merge: &Merge{Inputs: roll.Inputs, Bytes: roll.Bytes()},
	}}
	if j.inputs, j.masks, err = withMasks(p, roll.Inputs); err != nil {
		return resultFailed, err
	}
	if err := j.maskExpired(p); err != nil {
		return resultFailed, err
	}
	if j.old, j.oldMasks, err = withMasks(p, roll.Old); err != nil {
		return resultFailed, err
	}
	return j.carryOut(ctx, r, j.tryAttempt)
}

// maskExpired hides the raw samples whose rollups have expired: they would come back as rollups.
func (j *rollJob) maskExpired(p *catalog.Partition) error {
	for i := range j.roll.Inputs {
		var more []catalog.Tombstone
		for _, t := range p.Tombstones {
			if t.Scope == catalog.ScopeRollups && j.roll.Inputs[i].Order <= t.Order {
				more = append(more, t)
			}
		}
		masks, err := catalog.BlockMasks(more)
		if err != nil {
			return err
		}
		if len(masks) > 0 {
			m := *j.inputs[i]
			m.Tombstones = append(slices.Clone(m.Tombstones), masks.IDs()...)
			j.inputs[i], j.masks[i] = &m, append(slices.Clip(j.masks[i]), masks...)
		}
	}
	return nil
}

// settleRollups enters tombstones as applied to rollups that hold nothing of what they mask, if that is so of all rollups. Else the result is "".
func (l *Lifecycle) settleRollups(ctx context.Context, p *catalog.Partition, roll *Roll, r *Report) (result string, err error) {
	settle := catalog.SettleTombstones{Applied: map[string][]string{}}
	for i := range roll.Old {
		e := &roll.Old[i]
		masks, err := catalog.BlockMasks(p.Masks(e))
		if err != nil {
			return resultFailed, err
		}
		if len(masks) == 0 {
			continue
		}
		holds, err := l.holds(ctx, e.Meta, masks)
		if errors.Is(err, model.ErrUnavailable) || ctx.Err() != nil {
			return resultFailed, err
		}
		if holds || err != nil {
			return "", nil //nolint:nilerr // a damaged one is put aside by the job
		}
		settle.Applied[e.ID] = masks.IDs()
	}
	_, err = l.c.Catalog.Commit(ctx, p.Tenant, p.Day, settle)
	switch {
	case errors.Is(err, catalog.ErrGravestone):
		return resultLost, nil
	case err != nil:
		return resultFailed, err
	}
	r.Settled += len(settle.Applied)
	return resultDone, nil
}

// tryAttempt rolls up, uploads and commits under one attempt number.
func (j *rollJob) tryAttempt(ctx context.Context, attempt uint32) ([]*blocks.Meta, error) {
	j.sinceMs = j.l.nowMs()
	outputs, err := j.build(ctx, attempt)
	if err != nil {
		return nil, err
	}
	if len(outputs) > 0 && j.l.nowMs()-j.sinceMs > maxUploadAgeMs {
		return nil, errNextAttempt
	}
	return outputs, j.commit(ctx, catalog.Roll{Inputs: ids(j.roll.Inputs), Replaces: ids(j.roll.Old), Outputs: outputs, Job: j.job})
}

// build streams the day into its rollups.
func (j *rollJob) build(ctx context.Context, attempt uint32) (outputs []*blocks.Meta, err error) {
	ctx, cancel := context.WithCancel(ctx)
	in := newRollInput(ctx, j)
	defer in.close()
	defer cancel()
	out := make([]*rollOutput, len(rollupFormats))
	for i, f := range rollupFormats {
		out[i] = &rollOutput{j: j, format: f, attempt: attempt}
		defer out[i].abort()
	}
	for series := 0; ; series++ {
		if series%1024 == 0 {
			j.prolong(ctx)
			j.progress(in.progress())
		}
		ok, err := in.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		for i, f := range rollupFormats {
			if err := out[i].add(ctx, in.labels, in.windows(i, f.ResolutionMs())); err != nil {
				return nil, err
			}
		}
	}
	for _, o := range out {
		if err := o.finish(ctx); err != nil {
			return nil, err
		}
		outputs = append(outputs, o.done...)
	}
	j.samples = in.samples()
	return outputs, nil
}

// params name output number part of a format. Its id depends on all that it was made of; it says that it replaces rollups only, for it does not stand for
// the raw blocks.
func (j *rollJob) params(format blocks.Format, part int, attempt uint32) *blocks.Params {
	params := blocks.MergeParams(slices.Concat(j.inputs, j.old), format, part, attempt)
	params.Replaces = ids(j.roll.Old)
	return params
}

// inputError names the rollup that an error is about.
func inputError(id string, err error) error {
	var input *blocks.InputError
	if errors.As(err, &input) {
		return err
	}
	return fmt.Errorf("read rollup: %w", &blocks.InputError{ID: id, Err: err})
}
