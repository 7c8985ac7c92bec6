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
	"github.com/varvedb/varve/index"
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

// errAgain: the day is read on behind the last series, from a fresh catalog.
var errAgain = errors.New("blocks of the day have changed")

// series are those of the blocks, in order.
func (w *walk) series(ctx context.Context) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		for views := 0; ; views++ {
			err := w.round(ctx, yield)
			if errors.Is(err, errAgain) && views < maxViews {
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
	for _, e := range overlapping(p, w.r) {
		if w.s.isDamaged(e.ID) {
			continue
		}
		m, err := catalog.BlockMasks(p.Masks(&e))
		if err != nil {
			return err
		}
		inputs, masks = append(inputs, e.Meta), append(masks, m)
	}
	if len(inputs) == 0 {
		return nil
	}
	if w.few(inputs) {
		return w.selected(ctx, inputs, masks, yield)
	}
	return w.merged(ctx, inputs, masks, yield)
}

// merged reads all of the blocks.
func (w *walk) merged(ctx context.Context, inputs []*blocks.Meta, masks []blocks.Masks, yield func(model.Series, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	m := blocks.NewMerger(ranges{w.s.bucket}, inputs, &blocks.MergeOptions{ReadBytes: w.s.opts.ReadBytes, Masks: masks})
	defer m.Close()
	defer cancel()
	for b, err := range m.Series(ctx, func() bool { return true }) {
		if err != nil {
			return w.lost(ctx, err)
		}
		if w.begun && !index.Less(w.last, b.Labels) || !w.s.wants(w.want, b.Labels) {
			continue
		}
		w.last, w.begun = b.Labels, true
		if !yield(&merged{b.Labels, b.Columns}, nil) {
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
	reason := input.Err.Error()
	if gone {
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
		reason = "it is in the catalog but not in the bucket"
	}
	if !w.s.damaged(input.ID) {
		return errAgain // a reader of the same day beside this one was first
	}
	skip := migrate.Skip{Kind: "block", Where: w.s.tenant + "/" + w.day.Dashed() + "/" + input.ID, Reason: reason}
	if w.begun {
		skip.Reason += fmt.Sprintf("; left out behind series %.200s", w.last)
	}
	if err := w.s.skips.Add(skip); err != nil {
		return err
	}
	return errAgain
}

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

// ranges reads blocks from the bucket.
type ranges struct{ b *blob.Bucket }

// ReadRanges implements blocks.RangeReader.
func (r ranges) ReadRanges(ctx context.Context, key string, want []blob.Range) ([][]byte, error) {
	return r.b.ReadRanges(ctx, key, want, nil)
}
