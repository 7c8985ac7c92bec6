package blocks

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks/parquet"
	"github.com/varvedb/varve/model"
)

// RollupReader streams the series of a block of rollups in the order of the block, each with all its windows. Memory does not grow with the
// block: it holds the rows of a range, compressed, and one decoded stripe. Each byte of the columns is read once, from front to back. Everything read is
// checked as in Select, and at the end that the block held what its Meta says.
//
// Not safe for concurrent use. Close waits for requests on their way.
type RollupReader struct {
	ctx   context.Context //nolint:containedctx // it is that of one walk, as of a statement's rows
	in    *rowInput
	masks Masks
	opts  MergeOptions

	begun  bool
	labels labels.Labels
	found  model.Rollup
	err    error
}

// NewRollupReader returns a reader of the block, of which the masks hide every window that they overlap. It reads nothing yet. ctx is that of all its requests.
// Of the options, nil means all defaults, it takes ReadBytes, MaxSeriesSamples and Sequential.
func NewRollupReader(ctx context.Context, r RangeReader, m *Meta, masks Masks, opts *MergeOptions) *RollupReader {
	out := &RollupReader{ctx: ctx, masks: masks.of(m), opts: opts.withDefaults()}
	if m.Format.ResolutionMs() == 0 {
		out.err = fmt.Errorf("read rollup %s: format %d: %w", m.ID, m.Format, model.ErrInvalid)
	}
	out.in = newRowInput(r, m, 0, out.opts.ReadBytes, out.opts.Sequential)
	out.in.aggregates = nil
	for a := range model.Aggregates {
		out.in.aggregates = append(out.in.aggregates, a)
	}
	return out
}

// Next goes to the next series that has windows left. It returns false at the end and at an error.
func (r *RollupReader) Next() bool {
	for r.err == nil {
		var ok bool
		if ok, r.err = r.step(); !ok || r.err != nil {
			return false
		}
		if r.found.Len() > 0 {
			return true
		}
	}
	return false
}

// step goes to the next series and reads it.
func (r *RollupReader) step() (bool, error) {
	if err := r.ctx.Err(); err != nil {
		return false, err
	}
	if !r.begun {
		r.begun = true
		if err := r.in.fetchFirst(r.ctx); err != nil {
			return false, err
		}
		r.in.series.prefetch(r.ctx)
	}
	ok, err := r.in.next(r.ctx)
	if !ok || err != nil {
		return false, err
	}
	r.found.Reset()
	if err := r.in.each(r.append); err != nil {
		return false, err
	}
	n := r.found.Len()
	r.in.readSamples += int64(n)
	if n > r.opts.MaxSeriesSamples {
		return false, fmt.Errorf("series %.200s has more than %d windows: %w", r.in.cursor().Labels(), r.opts.MaxSeriesSamples, model.ErrLimit)
	}
	r.labels = r.in.cursor().Labels()
	if len(r.masks) > 0 {
		dropHiddenRows(&r.found, r.masks.Hidden(r.labels, r.in.m.Range()))
	}
	return true, nil
}

// append appends rows to what was found of the series.
func (r *RollupReader) append(rows []parquet.Rows, from, to int) error {
	x := &r.found
	if err := checkAscending(rows[0].T[from:to], x.T); err != nil {
		return err
	}
	for a := range model.Aggregates {
		if a != model.Last {
			x.V[a] = rows[a].AppendNumbers(x.V[a], from, to)
		}
	}
	c := model.Columns{T: x.T, V: x.V[model.Last], H: x.H}
	rows[model.Last].Append(&c, from, to)
	x.T, x.V[model.Last], x.H = c.T, c.V, c.H
	return nil
}

// dropHiddenRows takes the windows that lie in the ranges, which ascend, out of r.
func dropHiddenRows(r *model.Rollup, hidden []model.TimeRange) {
	n := 0
	for i, at := range r.T {
		for len(hidden) > 0 && hidden[0].MaxMs < at {
			hidden = hidden[1:]
		}
		if len(hidden) > 0 && hidden[0].MinMs <= at {
			continue
		}
		r.T[n] = at
		for a := range r.V {
			r.V[a][n] = r.V[a][i]
		}
		if r.H != nil {
			r.H[n] = r.H[i]
		}
		n++
	}
	r.T = r.T[:n]
	for a := range r.V {
		r.V[a] = r.V[a][:n]
	}
	if r.H != nil {
		r.H = r.H[:n]
	}
	if !slices.ContainsFunc(r.H, func(h []byte) bool { return h != nil }) {
		r.H = nil
	}
}

// Labels are those of the series at hand.
func (r *RollupReader) Labels() labels.Labels { return r.labels }

// Rollup are the windows of the series at hand, valid until Next.
func (r *RollupReader) Rollup() *model.Rollup { return &r.found }

// Err is why Next returned false, nil at the end of the block.
func (r *RollupReader) Err() error { return r.err }

// Close ends the use of the reader. Its context should have ended, or Next have returned false.
func (r *RollupReader) Close() { r.in.close() }

// verifyRollup decodes every series of a rollup and counts.
func verifyRollup(ctx context.Context, data []byte, m *Meta) error {
	r := NewRollupReader(ctx, Bytes(data), m, nil, &MergeOptions{Sequential: true})
	defer r.Close()
	var histograms int64
	for r.Next() {
		for _, h := range r.Rollup().H {
			if h != nil {
				histograms++
			}
		}
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if histograms != m.Histograms {
		return fmt.Errorf("verify block: %d histograms, footer says %d: %w", histograms, m.Histograms, model.ErrCorrupt)
	}
	return nil
}
