package own

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// walk goes through the blocks of a day, for one reader.
type walk struct {
	s    *Source
	day  model.Day
	r    model.TimeRange
	want migrate.Want
	// last are the labels of the series that was handed out last, if begun.
	last  labels.Labels
	begun bool
}

// maxViews bounds how often the catalog of a day is read anew because blocks went away.
const maxViews = 10

// The day is read on behind the last series, from a fresh catalog.
var (
	errAgain = errors.New("blocks of the day have changed")
	// errDamage: with what is now known of a block. There is an end to it: each block may become worse twice.
	errDamage = errors.New("a block of the day is damaged")
)

// series are those of the blocks, in order.
func (w *walk) series(ctx context.Context) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		for views := 0; ; {
			err := w.round(ctx, yield)
			if errors.Is(err, errDamage) {
				continue
			}
			if errors.Is(err, errAgain) && views < maxViews {
				views++
				continue
			}
			if err != nil && !errors.Is(err, errStop) {
				yield(nil, fmt.Errorf("read tenant %s, day %s: %w", w.s.tenant, w.day.Dashed(), err))
			}
			return
		}
	}
}

// errStop: nobody wants more.
var errStop = errors.New("stopped")

// round reads the day as its catalog is now.
func (w *walk) round(ctx context.Context, yield func(model.Series, error) bool) error {
	p, err := w.s.partition(ctx, w.day)
	if err != nil || p == nil {
		return err
	}
	var inputs []*blocks.Meta
	var masks []blocks.Masks
	var faults []*fault
	damaged := false
	for _, e := range overlapping(p, w.r) {
		f := w.s.faultOf(e.ID)
		if f != nil && f.whole {
			continue
		}
		damaged = damaged || f != nil
		m, err := catalog.BlockMasks(p.Masks(&e))
		if err != nil {
			return err
		}
		inputs, masks, faults = append(inputs, e.Meta), append(masks, m), append(faults, f)
	}
	switch {
	case len(inputs) == 0:
		return nil
	case damaged:
		return w.pieces(ctx, inputs, masks, faults, yield)
	case w.few(inputs):
		return w.selected(ctx, inputs, masks, yield)
	}
	return w.merged(ctx, inputs, masks, yield)
}

// merged reads all of the blocks.
func (w *walk) merged(ctx context.Context, inputs []*blocks.Meta, masks []blocks.Masks, yield func(model.Series, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	m := blocks.NewMerger(blocks.Stored{Bucket: w.s.bucket}, inputs, &blocks.MergeOptions{ReadBytes: w.s.opts.ReadBytes, Masks: masks})
	defer m.Close()
	defer cancel()
	return w.hand(ctx, ofMerger(ctx, m), yield)
}

// hand yields the series that are still to be handed out. Those are remembered, so that a day that is read again goes on behind them.
func (w *walk) hand(ctx context.Context, series iter.Seq2[model.Series, error], yield func(model.Series, error) bool) error {
	for s, err := range series {
		if err != nil {
			return w.lost(ctx, err)
		}
		ls := s.Labels()
		if !w.takes(ls) {
			continue
		}
		w.last, w.begun = ls, true
		if !yield(s, nil) {
			return errStop
		}
	}
	return nil
}

// lost decides what an error of a block means: one that is gone because it was merged, or damage.
func (w *walk) lost(ctx context.Context, err error) error {
	var input *blocks.InputError
	if ctx.Err() != nil || !errors.As(err, &input) {
		return err
	}
	gone := errors.Is(err, model.ErrNotFound)
	if !gone && !errors.Is(err, model.ErrCorrupt) && !errors.Is(err, model.ErrVersion) {
		return err
	}
	if !gone {
		// Damage costs what lies there; a block of a version that is not known is lost altogether.
		whole := !errors.Is(err, model.ErrCorrupt)
		if whole {
			return w.without(input.ID, input.Err.Error())
		}
		w.s.damaged(input.ID, &fault{reason: input.Err.Error()})
		return errDamage
	}
	p, perr := w.s.partition(ctx, w.day)
	if perr != nil {
		return perr
	}
	if p == nil || p.Live(input.ID) == nil {
		return errAgain
	}
	if blob.IsDenied(err) {
		// No permission at all looks the same, and is no damage.
		return fmt.Errorf("block %s is in the catalog, but it is missing or may not be read: %w: %w", input.ID, model.ErrUnavailable, input.Err)
	}
	return w.without(input.ID, "it is in the catalog but not in the bucket")
}

// without goes on without a block, of which nothing can be read.
func (w *walk) without(id, reason string) error {
	if !w.s.damaged(id, &fault{reason: reason, whole: true}) {
		return errDamage // a reader of the same day beside this one was first
	}
	if w.begun {
		reason += fmt.Sprintf("; left out behind series %.200s", w.last)
	}
	if err := w.s.skips.Add(migrate.Skip{Kind: "block", Where: w.where(id), Reason: reason}); err != nil {
		return err
	}
	return errDamage
}

// where names a block for people.
func (w *walk) where(id string) string { return w.s.tenant + "/" + w.day.Dashed() + "/" + id }

// merged is a series whose samples are decoded, of a merge that goes on with the next one.
type merged struct {
	labels  labels.Labels
	columns *model.Columns
}

// Labels implements model.Series.
func (s *merged) Labels() labels.Labels { return s.labels }

// Samples implements model.Series. Histograms are copied: the merge uses their memory again.
func (s *merged) Samples(dst *model.Columns, r model.TimeRange) error {
	c := s.columns
	from, _ := slices.BinarySearch(c.T, r.MinMs)
	to, found := slices.BinarySearch(c.T, r.MaxMs)
	if found {
		to++
	}
	if from >= to {
		return nil
	}
	n := dst.Len()
	dst.T, dst.V = append(dst.T, c.T[from:to]...), append(dst.V, c.V[from:to]...)
	if c.H == nil && dst.H == nil {
		return nil
	}
	if dst.H == nil {
		dst.H = make([][]byte, n, n+to-from)
	}
	for i := from; i < to; i++ {
		var h []byte
		if c.H != nil && c.H[i] != nil {
			h = slices.Clone(c.H[i])
		}
		dst.H = append(dst.H, h)
	}
	return nil
}
