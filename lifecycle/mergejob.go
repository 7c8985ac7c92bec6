package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// mergeJob is one merge being carried out.
type mergeJob struct {
	l      *Lifecycle
	tenant string
	day    model.Day
	merge  *Merge
	// job is the name of the claim, kind what the metrics call it.
	job, kind string
	// inputs list the tombstones that are applied to them now, masks are what those hide, by input.
	inputs []*blocks.Meta
	masks  []blocks.Masks
	// claimedMs is when the claim was taken or prolonged last.
	claimedMs int64
	// sinceMs is when the first output began to be uploaded.
	sinceMs int64
	samples int64
	buffer  buffer
}

// The results of a job, as the metrics name them.
const (
	resultDone        = "done"
	resultLost        = "lost"
	resultQuarantined = "quarantined"
	resultFailed      = "failed"
)

// merge claims and carries out a merge planned on p. An error, which comes with resultFailed, leaves the partition as it was, but for the claim, which
// keeps this and other workers from trying again at once.
func (l *Lifecycle) merge(ctx context.Context, p *catalog.Partition, m *Merge, r *Report) (result string, err error) {
	j := &mergeJob{l: l, tenant: p.Tenant, day: p.Day, merge: m, job: m.Job(), kind: m.kind()}
	if j.inputs, j.masks, err = withMasks(p, m.Inputs); err != nil {
		return resultFailed, err
	}
	return j.carryOut(ctx, r, j.tryAttempt)
}

// carryOut runs the job and tells what became of it. attempt does the work under one attempt number.
func (j *mergeJob) carryOut(ctx context.Context, r *Report, attempt func(context.Context, uint32) ([]*blocks.Meta, error)) (result string, err error) {
	began := j.l.c.Now()
	outputs, result, err := j.run(ctx, r, attempt)
	j.l.metrics.jobs.WithLabelValues(j.kind, result).Inc()
	if result == resultDone {
		j.report(outputs, r, j.l.c.Now().Sub(began))
	}
	if result == resultLost {
		r.Lost++
	}
	return result, err
}

// run returns the outputs of a merge that is part of the catalog now, or what became of it instead.
func (j *mergeJob) run(ctx context.Context, r *Report, try func(context.Context, uint32) ([]*blocks.Meta, error)) (outputs []*blocks.Meta, result string, err error) {
	ok, err := j.claim(ctx)
	if err != nil {
		return nil, resultFailed, err
	}
	if !ok {
		return nil, resultLost, nil
	}
	for attempt := range uint32(maxAttempts) {
		outputs, err = try(ctx, attempt)
		if !errors.Is(err, errNextAttempt) {
			break
		}
	}
	switch {
	case err == nil:
		return outputs, resultDone, nil
	case errors.Is(err, catalog.ErrGravestone), errors.Is(err, errLost):
		j.l.c.Logger.Debug("merge was overtaken", "tenant", j.tenant, "day", j.day.Dashed(), "job", j.job, "err", err)
		return nil, resultLost, nil
	}
	return j.blame(ctx, err, r)
}

// maxAttempts bounds the attempt numbers of one job; a handful happens when workers of different versions meet.
const maxAttempts = 100

var (
	// errNextAttempt says that this attempt's name cannot be used.
	errNextAttempt = errors.New("name is taken or dropped")
	// errLost says that the plan does not fit the catalog any more.
	errLost = errors.New("the catalog has moved on")
)

// claim takes the claim. It reports false if somebody else has it, or if the inputs are not live any more. In a catalog that is full there is no room for a
// claim, and all the more need of a merge.
func (j *mergeJob) claim(ctx context.Context) (bool, error) {
	now := j.l.nowMs()
	res, err := j.l.c.Catalog.Commit(ctx, j.tenant, j.day, catalog.TakeClaim{
		Job: j.job, Holder: j.l.holder, UntilMs: now + j.l.cfg.ClaimFor.Milliseconds(),
	})
	if errors.Is(err, model.ErrConflict) || errors.Is(err, catalog.ErrGravestone) {
		return false, nil
	}
	if errors.Is(err, model.ErrLimit) {
		j.claimedMs = now
		return true, nil
	}
	if err != nil {
		return false, err
	}
	j.claimedMs = now
	return live(res.Partition, ids(j.merge.Inputs)), nil
}

// prolong takes the claim anew when half of its time is over. A failure only lets others do the work too.
func (j *mergeJob) prolong(ctx context.Context) {
	if j.l.nowMs()-j.claimedMs < j.l.cfg.ClaimFor.Milliseconds()/2 {
		return
	}
	if _, err := j.claim(ctx); err != nil {
		j.claimedMs = j.l.nowMs()
	}
}

// tryAttempt merges, uploads and commits under one attempt number.
func (j *mergeJob) tryAttempt(ctx context.Context, attempt uint32) ([]*blocks.Meta, error) {
	j.sinceMs = 0
	outputs, err := j.build(ctx, attempt)
	if err != nil {
		return nil, err
	}
	if len(outputs) > 0 && j.l.nowMs()-j.sinceMs > maxUploadAgeMs {
		return nil, errNextAttempt
	}
	return outputs, j.commit(ctx, catalog.Replace{Inputs: ids(j.merge.Inputs), Outputs: outputs, Job: j.job})
}

// commit makes the outputs live.
func (j *mergeJob) commit(ctx context.Context, op catalog.Operation) error {
	_, err := j.l.c.Catalog.Commit(ctx, j.tenant, j.day, op)
	switch {
	case errors.Is(err, catalog.ErrDropped):
		return errNextAttempt
	case errors.Is(err, model.ErrConflict), errors.Is(err, model.ErrInvalid):
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return err
}

// maxUploadAgeMs is how long after its upload an output may still be committed: an orphan that old may be collected.
const maxUploadAgeMs = model.MsPerDay

// build streams the merge into one output after another and uploads each. The memory that this takes is that of one output and of
// the Merger.
func (j *mergeJob) build(ctx context.Context, attempt uint32) (outputs []*blocks.Meta, err error) {
	ctx, cancel := context.WithCancel(ctx)
	m := blocks.NewMerger(blocks.Stored{Bucket: j.l.c.Bucket}, j.inputs, &blocks.MergeOptions{
		ReadBytes: j.l.cfg.ReadBytes, Sequential: j.l.cfg.Sequential, Masks: j.masks,
	})
	defer m.Close()
	defer cancel()
	defer func() { j.samples, _ = m.Samples() }()
	if j.merge.Format == blocks.Parquet {
		return j.stream(ctx, m, attempt)
	}
	j.buffer.expect(min(j.merge.Bytes, j.l.cfg.Merge.MaxOutputBytes) + 64<<10)
	for {
		if more, err := m.More(ctx); err != nil || !more {
			return outputs, err
		}
		j.buffer.reset()
		params := blocks.MergeParams(j.inputs, blocks.Native, len(outputs), attempt)
		meta, err := blocks.Build(ctx, params, m.Series(ctx, j.room(ctx, m)), &j.buffer)
		if err != nil {
			return nil, err
		}
		if err := j.upload(ctx, blocks.Key(meta), j.buffer.b); err != nil {
			return nil, err
		}
		outputs = append(outputs, meta)
		j.progress(m.Progress())
	}
}

// indexBytes is about what a series takes in the index, which is written at the end.
const indexBytes = 32

// room returns a function that says whether one more series fits the output, and looks after claim and progress in passing.
func (j *mergeJob) room(ctx context.Context, m *blocks.Merger) func() bool {
	series := int64(0)
	return func() bool {
		if series%1024 == 0 {
			j.prolong(ctx)
			j.progress(m.Progress())
		}
		s := &j.l.cfg.Merge
		if series > 0 && (series >= s.MaxOutputSeries || int64(len(j.buffer.b))+series*indexBytes >= s.MaxOutputBytes) {
			return false
		}
		series++
		return true
	}
}

func (j *mergeJob) progress(done, total int64) {
	if j.l.c.Progress != nil {
		j.l.c.Progress(Progress{Tenant: j.tenant, Day: j.day, Job: j.job, Done: done, Total: total})
	}
}

// blame decides what a failure means: inputs that cannot be merged are put aside with the reason, so that they are asked for no more
// and the others can go on; anything else is tried again later.
func (j *mergeJob) blame(ctx context.Context, cause error, r *Report) ([]*blocks.Meta, string, error) {
	guilty := ids(j.merge.Inputs)
	var input *blocks.InputError
	ours := errors.As(cause, &input)
	why := reason(cause)
	if ours {
		guilty, why = []string{input.ID}, reason(input.Err)
	}
	switch {
	case errors.Is(cause, model.ErrUnavailable), ctx.Err() != nil:
		return nil, resultFailed, cause
	case ours && (errors.Is(cause, model.ErrCorrupt) || errors.Is(cause, model.ErrVersion)):
	case ours && errors.Is(cause, model.ErrNotFound) && !blob.IsDenied(cause):
		// An object that is gone while its block is live is damage; else it was collected after others had merged it.
		p, err := j.l.c.Catalog.Partition(ctx, j.tenant, j.day, nil)
		if err != nil {
			return nil, resultFailed, err
		}
		if !live(p, guilty) {
			return nil, resultLost, nil
		}
	case (ours || j.kind != jobRollup) && (errors.Is(cause, model.ErrInvalid) || errors.Is(cause, model.ErrLimit)):
	default:
		// Raw blocks that are put aside expire without rollups, so none of them is on a mere suspicion.
		return nil, resultFailed, cause
	}
	_, err := j.l.c.Catalog.Commit(ctx, j.tenant, j.day, catalog.Quarantine{IDs: guilty, Reason: why, Job: j.job})
	if errors.Is(err, model.ErrConflict) || errors.Is(err, catalog.ErrGravestone) {
		return nil, resultLost, nil
	}
	if err != nil {
		return nil, resultFailed, errors.Join(cause, err)
	}
	j.l.c.Logger.Error("blocks are quarantined: merges leave them alone from now on, queries still read them",
		"tenant", j.tenant, "day", j.day.Dashed(), "blocks", guilty, "err", cause)
	for _, id := range guilty {
		r.Quarantined = append(r.Quarantined, fmt.Sprintf("%s/%s %s: %s", j.tenant, j.day.Dashed(), id, why))
	}
	return nil, resultQuarantined, nil
}

// reason cuts an error to what a catalog has room for.
func reason(err error) string {
	const most = 300
	s := err.Error()
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}

func (j *mergeJob) report(outputs []*blocks.Meta, r *Report, took time.Duration) {
	var bytes int64
	for _, m := range outputs {
		bytes += m.Size
	}
	r.Jobs++
	switch j.kind {
	case jobCompact:
		r.Compactions++
	case jobErase:
		r.Erasures++
	case jobRollup:
		r.Rollups++
	}
	r.InputBlocks += len(j.inputs)
	r.OutputBlocks += len(outputs)
	r.InputBytes += j.merge.Bytes
	r.OutputBytes += bytes
	r.Samples += j.samples
	j.l.metrics.merged(j.kind, j.merge.Bytes, bytes, j.samples, took)
	j.l.c.Logger.Info("merged", "job", j.kind, "tenant", j.tenant, "day", j.day.Dashed(), "inputs", len(j.inputs), "outputs", len(outputs),
		"input_bytes", j.merge.Bytes, "output_bytes", bytes, "samples", j.samples, "took", took)
}
