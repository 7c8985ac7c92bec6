package own

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// fault is what is wrong with a block.
type fault struct {
	reason string
	// whole: nothing of it can be read.
	whole bool
}

// A merge reads a block from front to back, and cannot go on behind damage. So a block that was found damaged is read piece by piece instead: each entry of its directory is
// selected as if it were a block of its own, and each series decoded by itself. What fails is left out: the series of a damaged page of chunks, or of a series page.

// pieces is merged where faults are known of some of the inputs; they have one for each, nil for a block that is well.
func (w *walk) pieces(ctx context.Context, inputs []*blocks.Meta, masks []blocks.Masks, faults []*fault, yield func(model.Series, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	var parts []iter.Seq2[model.Series, error]
	var mergers []*blocks.Merger
	defer func() {
		cancel()
		for _, m := range mergers {
			m.Close()
		}
	}()
	for i := 0; i < len(inputs); {
		if faults[i] != nil {
			parts = append(parts, w.salvaged(ctx, inputs[i], masks[i], faults[i]))
			i++
			continue
		}
		from := i
		for i < len(inputs) && faults[i] == nil {
			i++
		}
		m := blocks.NewMerger(blocks.Stored{Bucket: w.s.bucket}, inputs[from:i], &blocks.MergeOptions{
			ReadBytes: w.s.opts.ReadBytes * int64(i-from) / int64(len(inputs)), Masks: masks[from:i],
		})
		mergers = append(mergers, m)
		parts = append(parts, ofMerger(ctx, m))
	}
	return w.hand(ctx, spill.Merged(ctx, parts, spill.LastWins), yield)
}

// ofMerger are the series of a merge as others are.
func ofMerger(ctx context.Context, m *blocks.Merger) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		for b, err := range m.Series(ctx, func() bool { return true }) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&merged{b.Labels, b.Columns}, nil) {
				return
			}
		}
	}
}

// salvaged is what can be read of a damaged block. A series is valid until the next one is asked for.
func (w *walk) salvaged(ctx context.Context, m *blocks.Meta, masks blocks.Masks, f *fault) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		g := &gaps{w: w, id: m.ID}
		for i, piece := range piecesOf(m) {
			sel, err := blocks.Select(ctx, blocks.Stored{Bucket: w.s.bucket}, piece, &blocks.Query{Range: w.r, Masks: masks})
			switch {
			case errors.Is(err, model.ErrCorrupt):
				err = g.add(err, fmt.Sprintf("the series of entry %d of %d of its directory, which begins in metric %q", i+1, len(m.Directory), firstMetric(piece)))
			case err != nil:
				err = &blocks.InputError{ID: m.ID, Err: err}
			default:
				err = w.each(ctx, sel, g, yield)
				sel.Close()
			}
			if errors.Is(err, errStop) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
		if err := g.end(f); err != nil {
			yield(nil, err)
		}
	}
}

// each yields the series of a piece, but for those that are damaged.
func (w *walk) each(ctx context.Context, sel *model.Selection, g *gaps, yield func(model.Series, error) bool) error {
	slices.SortFunc(sel.Series, byIndex)
	var c model.Columns
	for _, s := range sel.Series {
		ls := s.Labels()
		if !w.takes(ls) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		c.Reset()
		err := s.Samples(&c, w.r)
		if errors.Is(err, model.ErrCorrupt) {
			if err = g.add(err, "series "+ls.String()); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if c.Len() > 0 && !yield(&merged{ls, &c}, nil) {
			return errStop
		}
	}
	return nil
}

// piecesOf are the entries of a block's directory, each as a block that has nothing else. They are found without an index.
func piecesOf(m *blocks.Meta) []*blocks.Meta {
	piece := func(from, to int64, dir []blocks.DirEntry) *blocks.Meta {
		p := *m
		p.SeriesPages = blocks.Section{Offset: from, Length: to - from}
		p.Postings, p.PostingsHead, p.PostingsFence, p.Directory = blocks.Section{}, 0, nil, dir
		return &p
	}
	if len(m.Directory) == 0 {
		return []*blocks.Meta{piece(m.SeriesPages.Offset, m.SeriesPages.End(), nil)}
	}
	var out []*blocks.Meta
	for i, e := range m.Directory {
		if i == 0 || e.SeriesOffset > m.Directory[i-1].SeriesOffset {
			out = append(out, piece(e.SeriesOffset, index.SeriesEnd(m.Directory, i, m.SeriesPages.End()), m.Directory[i:i+1]))
		}
	}
	return out
}

func firstMetric(m *blocks.Meta) string {
	if len(m.Directory) == 0 {
		return ""
	}
	return m.Directory[0].FirstMetric
}

func byIndex(a, b model.Series) int { return index.Compare(a.Labels(), b.Labels()) }

// gaps names what is missing of a damaged block: one skip for all that one damaged place costs.
type gaps struct {
	w              *walk
	id             string
	reason, first  string
	series, places int64
}

// add notes that something is left out for a reason.
func (g *gaps) add(reason error, what string) error {
	if text := reason.Error(); text != g.reason {
		if err := g.flush(); err != nil {
			return err
		}
		g.reason, g.first, g.series = text, what, 0
	}
	g.series++
	return nil
}

func (g *gaps) flush() error {
	if g.series == 0 {
		return nil
	}
	g.places++
	reason := fmt.Sprintf("%s; left out %.300s", g.reason, g.first)
	if g.series > 1 {
		reason += fmt.Sprintf(", and %d more behind it", g.series-1)
	}
	return g.skip(reason)
}

func (g *gaps) skip(reason string) error {
	return g.w.s.skips.Add(migrate.Skip{Kind: "block", Where: g.w.where(g.id), Reason: reason})
}

// end names the last place, or what was found in the first place if it cost no series that is asked for.
func (g *gaps) end(f *fault) error {
	if err := g.flush(); err != nil || g.places > 0 {
		return err
	}
	return g.skip(f.reason + "; no series is left out by it")
}

// takes reports whether a series is still to be handed out.
func (w *walk) takes(ls labels.Labels) bool {
	return (!w.begun || index.Less(w.last, ls)) && w.s.wants(w.want, ls)
}
