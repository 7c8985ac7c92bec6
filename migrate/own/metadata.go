package own

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Metadata is what is said of metrics in the range, by metric: of each the newest, as blocks have it. What is in no block yet is not read. Days was called.
func (s *Source) Metadata(ctx context.Context, r model.TimeRange) (map[string]model.Metadata, error) {
	out := map[string]model.Metadata{}
	newest := map[string]int64{}
	days := s.root.Days
	if s.snapshot != nil {
		days = nil
		for i := range s.snapshot.Days {
			days = append(days, s.snapshot.Days[i].Day)
		}
	}
	for _, day := range days {
		if !day.Range().Overlaps(r) {
			continue
		}
		for views := 0; ; views++ {
			err := s.dayMetadata(ctx, day, r, out, newest)
			if errors.Is(err, errAgain) && views < maxViews {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read metadata of tenant %s, day %s: %w", s.tenant, day.Dashed(), err)
			}
			break
		}
	}
	return out, nil
}

// dayMetadata adds that of a day. It passes over damaged blocks, which whoever reads the series names.
func (s *Source) dayMetadata(ctx context.Context, day model.Day, r model.TimeRange, out map[string]model.Metadata, newest map[string]int64) error {
	p, err := s.partition(ctx, day)
	if err != nil || p == nil {
		return err
	}
	for _, e := range overlapping(p, r) {
		f := s.faultOf(e.ID)
		if f != nil && f.whole {
			continue
		}
		err := s.blockMetadata(ctx, p, &e, out, newest)
		if err == nil {
			continue
		}
		err = (&walk{s: s, day: day}).lost(ctx, &blocks.InputError{ID: e.ID, Err: err})
		if !errors.Is(err, errDamage) {
			return err
		}
	}
	return nil
}

func (s *Source) blockMetadata(ctx context.Context, p *catalog.Partition, e *catalog.Entry, out map[string]model.Metadata, newest map[string]int64) error {
	masks, err := catalog.BlockMasks(p.Masks(e))
	if err != nil {
		return err
	}
	sel, err := blocks.Select(ctx, blocks.Stored{Bucket: s.bucket}, e.Meta, &blocks.Query{Range: e.Range(), Matchers: model.SelectMetadata(""), Masks: masks})
	if err != nil {
		return err
	}
	defer sel.Close()
	var c model.Columns
	for _, series := range sel.Series {
		metric, ok := model.MetadataOf(series.Labels())
		c.Reset()
		if err := series.Samples(&c, e.Range()); err != nil {
			return err
		}
		n := c.Len() - 1
		if !ok || n < 0 || c.H == nil {
			continue
		}
		m, err := model.DecodeMetadata(c.H[n])
		if err != nil {
			return err
		}
		if at, known := newest[metric]; !known || c.T[n] >= at {
			newest[metric], out[metric] = c.T[n], m
		}
	}
	return nil
}
