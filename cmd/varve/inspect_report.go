package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// report is what inspect found; parts that were not asked for are nil.
type report struct {
	Roster  []rosterRow  `json:"roster,omitzero"`
	Catalog *catalogPart `json:"catalog,omitempty"`
	Blocks  []blockRow   `json:"blocks,omitzero"`
	WAL     *walPart     `json:"wal,omitempty"`
}

type rosterRow struct {
	ID         string `json:"id"`
	State      string `json:"state"`
	Address    string `json:"address"`
	Durability string `json:"durability"`
	Shipping   bool   `json:"shipping"`
	Released   uint64 `json:"released"`
	StartedMs  int64  `json:"startedMs"`
}

type catalogPart struct {
	Tenant string   `json:"tenant"`
	Days   []dayRow `json:"days"`
}

type dayRow struct {
	Day        string            `json:"day"`
	Generation uint64            `json:"generation"`
	Blocks     int               `json:"blocks"`
	Samples    int64             `json:"samples"`
	BlockBytes int64             `json:"blockBytes"`
	Bytes      int               `json:"catalogBytes"`
	Flushed    map[string]uint64 `json:"flushed"`
	Retired    int               `json:"retired"`
	Dropped    int               `json:"dropped"`
	Tombstones int               `json:"tombstones"`
	Quarantine int               `json:"quarantined"`
}

type blockRow struct {
	Day        string `json:"day"`
	ID         string `json:"id"`
	Key        string `json:"key"`
	Order      uint64 `json:"order"`
	MinMs      int64  `json:"minMs"`
	MaxMs      int64  `json:"maxMs"`
	Series     int64  `json:"series"`
	Samples    int64  `json:"samples"`
	Bytes      int64  `json:"bytes"`
	Writer     string `json:"writer"`
	Generation uint64 `json:"generation"`
}

type walPart struct {
	Local   []segmentRow `json:"local"`
	Shipped []segmentRow `json:"shipped"`
}

type segmentRow struct {
	Writer     string `json:"writer"`
	Generation uint64 `json:"generation"`
	Seq        uint64 `json:"seq"`
	Bytes      int64  `json:"bytes"`
	// State is open, closed, end (of its generation), fence, or what is wrong with it.
	State string `json:"state"`
}

// inspector reads without changing anything.
type inspector struct {
	bucket          *blob.Bucket
	catalog         *catalog.Store
	tenant, dataDir string
}

func (i *inspector) inspect(ctx context.Context, what string) (*report, error) {
	r := &report{}
	all := what == "all"
	var roster *catalog.Roster
	if all || what == "roster" || what == "wal" {
		var err error
		if roster, err = i.catalog.Roster(ctx, nil); err != nil {
			return nil, err
		}
	}
	if all || what == "roster" {
		r.Roster = rosterRows(roster)
	}
	if all || what == "catalog" || what == "blocks" {
		parts, err := i.partitions(ctx)
		if err != nil {
			return nil, err
		}
		if what != "blocks" {
			r.Catalog = &catalogPart{Tenant: i.tenant, Days: dayRows(parts)}
		}
		if what != "catalog" {
			r.Blocks = blockRows(parts)
		}
	}
	if all || what == "wal" {
		var err error
		if r.WAL, err = i.wal(ctx, roster); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func rosterRows(roster *catalog.Roster) []rosterRow {
	rows := []rosterRow{}
	for _, w := range roster.Writers {
		rows = append(rows, rosterRow{w.ID, w.State.String(), w.Address, w.Mode, w.Shipping, w.Released, w.StartedMs})
	}
	return rows
}

// partitions are the catalogs of all days that the tenant's root names.
func (i *inspector) partitions(ctx context.Context) ([]*catalog.Partition, error) {
	v, err := i.catalog.View(ctx, i.tenant, model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, nil)
	if err != nil {
		return nil, err
	}
	return v.Partitions, nil
}

func dayRows(parts []*catalog.Partition) []dayRow {
	rows := []dayRow{}
	for _, p := range parts {
		row := dayRow{
			Day: p.Day.Dashed(), Generation: p.Generation, Blocks: len(p.Blocks), Bytes: p.Bytes, Flushed: p.Flushed,
			Retired: len(p.Retired), Dropped: len(p.Dropped), Tombstones: len(p.Tombstones), Quarantine: len(p.Quarantined),
		}
		for _, b := range p.Blocks {
			row.Samples += b.Samples
			row.BlockBytes += b.Size
		}
		rows = append(rows, row)
	}
	return rows
}

func blockRows(parts []*catalog.Partition) []blockRow {
	rows := []blockRow{}
	for _, p := range parts {
		for _, b := range p.Blocks {
			rows = append(rows, blockRow{
				p.Day.Dashed(), b.ID, blocks.Key(b.Meta), b.Order, b.MinT, b.MaxT,
				b.Series, b.Samples, b.Size, b.Writer, b.Generation,
			})
		}
	}
	return rows
}

func (i *inspector) wal(ctx context.Context, roster *catalog.Roster) (*walPart, error) {
	local, err := localSegments(i.dataDir)
	if err != nil {
		return nil, err
	}
	p := &walPart{Local: local, Shipped: []segmentRow{}}
	for _, w := range roster.Writers {
		if w.State == catalog.Clean || !w.Shipping {
			continue
		}
		rows, err := i.shipped(ctx, w)
		if err != nil {
			return nil, err
		}
		p.Shipped = append(p.Shipped, rows...)
	}
	return p, nil
}

// localSegments are the files of the log. They are read, not opened as a log: that would repair them.
func localSegments(dataDir string) ([]segmentRow, error) {
	rows := []segmentRow{}
	root := filepath.Join(dataDir, "wal")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // no log at all, or released meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		writer, generation, seq, ok := wal.ParseSegmentKey("w/" + filepath.ToSlash(rel))
		if !ok {
			return nil
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rows = append(rows, segmentRow{writer, generation, seq, int64(len(data)), segmentState(data, path)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read local log: %w", err)
	}
	slices.SortStableFunc(rows, func(a, b segmentRow) int {
		switch {
		case a.Writer != b.Writer:
			return 0
		case a.Generation != b.Generation:
			return int(int64(a.Generation) - int64(b.Generation))
		}
		return int(int64(a.Seq) - int64(b.Seq))
	})
	return rows, nil
}

// maxShipped segments of a writer are shown.
const maxShipped = 256

// shipped walks a writer's log in the bucket from what is not released yet to the first missing key.
func (i *inspector) shipped(ctx context.Context, w catalog.Writer) (rows []segmentRow, err error) {
	generation, seq := w.Released+1, uint64(0)
	if w.State == catalog.Adopted && w.Released > 0 {
		generation = w.Released // the fence stands there
	}
	for len(rows) < maxShipped {
		key := wal.SegmentKey(w.ID, generation, seq)
		data, _, err := i.bucket.Get(ctx, key)
		if errors.Is(err, model.ErrNotFound) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		row := segmentRow{w.ID, generation, seq, int64(len(data)), segmentState(data, key)}
		rows = append(rows, row)
		switch row.State {
		case "fence":
			return rows, nil
		case "end":
			generation, seq = generation+1, 0
		default:
			seq++
		}
	}
	return rows, nil
}

func segmentState(data []byte, name string) string {
	s, err := wal.ParseSegment(data, &wal.ParseOptions{Name: filepath.Base(name)})
	switch {
	case err != nil:
		return err.Error()
	case s.Fence:
		return "fence"
	case s.EndMark:
		return "end"
	case s.Closed:
		return "closed"
	}
	return "open"
}
