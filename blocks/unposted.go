package blocks

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
)

// A small block has no postings (see package index). What they would be asked is answered from its series pages, which list
// their names and values once.

func unpostedNames(ctx context.Context, r RangeReader, m *Meta) ([]string, error) {
	found := map[string]bool{}
	err := eachPage(ctx, r, m, func(p *index.Page) {
		p.Names(func(name string) { found[name] = true })
	})
	return slices.Sorted(maps.Keys(found)), err
}

func unpostedValues(ctx context.Context, r RangeReader, m *Meta, name string) ([]string, error) {
	var all []string
	err := eachPage(ctx, r, m, func(p *index.Page) {
		p.Values(name, func(v string) {
			if v != "" { // which is the same as not to have the label
				all = append(all, v)
			}
		})
	})
	slices.Sort(all)
	all = slices.Compact(all)
	for i, v := range all {
		all[i] = strings.Clone(v) // v is part of a string with all values of its page
	}
	return all, err
}

// eachPage calls fn with each series page of the block.
func eachPage(ctx context.Context, r RangeReader, m *Meta, fn func(*index.Page)) error {
	if m.SeriesPages.Length == 0 {
		return nil
	}
	at := m.SeriesPages.Offset
	data, err := readBlock(ctx, r, m, []blob.Range{blob.Range(m.SeriesPages)})
	if err != nil {
		return err
	}
	b := data[0]
	buf := page.GetBuffer()
	defer page.PutBuffer(buf)
	for len(b) > 0 {
		raw, n, err := page.Decode(*buf, b, page.Series)
		var p *index.Page
		if err == nil {
			*buf = raw
			p, err = index.ParsePage(raw)
		}
		if err != nil {
			return corruptAt(Key(m), at, err)
		}
		fn(p)
		at, b = at+int64(n), b[n:]
	}
	return nil
}
