package blocks

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// seriesWalk goes through the series pages of one block of a merge, which are the same in both layouts.
type seriesWalk struct {
	m        *Meta
	priority int // the higher wins
	series   stream

	page   *index.Cursor
	rawIdx []byte

	readSeries, readSamples int64
}

func (in *seriesWalk) meta() *Meta           { return in.m }
func (in *seriesWalk) cursor() *index.Cursor { return in.page }
func (in *seriesWalk) rank() int             { return in.priority }

// walk goes to the next series and reports whether there is one. nextPage opens the next page, with openPage and what its layout needs.
func (in *seriesWalk) walk(ctx context.Context, nextPage func(context.Context) error) (bool, error) {
	for {
		if in.page != nil {
			ok, err := in.page.Next()
			if err != nil {
				return false, corruptAt(in.series.key, in.series.off, err)
			}
			if ok {
				in.readSeries++
				return true, nil
			}
		}
		if in.series.done() {
			return false, in.complete()
		}
		if err := nextPage(ctx); err != nil {
			return false, err
		}
	}
}

// openPage reads and parses the next page. locate takes from it what its layout needs; its error is one of the page.
func (in *seriesWalk) openPage(ctx context.Context, locate func(*index.Page) error) error {
	at := in.series.off
	b, err := in.series.page(ctx)
	if err != nil {
		return err
	}
	raw, _, err := page.Decode(in.rawIdx, b, page.Series)
	if err != nil {
		return corruptAt(in.series.key, at, err)
	}
	in.rawIdx = raw
	p, err := index.ParsePage(raw)
	if err == nil {
		err = locate(p)
	}
	if err != nil {
		return corruptAt(in.series.key, at, err)
	}
	in.page = p.Cursor()
	return nil
}

// complete checks that the block held what its Meta says.
func (in *seriesWalk) complete() error {
	if in.readSeries != in.m.Series || in.readSamples != in.m.Samples {
		return corruptAt(in.series.key, in.m.SeriesPages.Offset, fmt.Errorf("%d series and %d samples, its footer says %d and %d: %w",
			in.readSeries, in.readSamples, in.m.Series, in.m.Samples, model.ErrCorrupt))
	}
	return nil
}
