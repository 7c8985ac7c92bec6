package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

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
	// Quarantined are blocks that merges leave alone.
	Quarantined []quarantineRow `json:"quarantined,omitempty"`
	// Claims are jobs that workers are at, or were at when they ended, which others leave alone for a while.
	Claims []claimRow `json:"claims,omitempty"`
	WAL    *walPart   `json:"wal,omitempty"`
	// Problems are what could not be read; the rest is shown all the same.
	Problems []string `json:"problems,omitzero"`
}

type rosterRow struct {
	ID         string `json:"id"`
	State      string `json:"state"`
	Address    string `json:"address"`
	Durability string `json:"durability"`
	Shipping   bool   `json:"shipping"`
	Released   uint64 `json:"released"`
	StartedMs  int64  `json:"started_ms"`
}

type catalogPart struct {
	Tenant string `json:"tenant"`
	// Settings are those of the tenant's root, DeletedMs is when it was deleted, 0 if it was not.
	Settings  map[string]string `json:"settings,omitempty"`
	DeletedMs int64             `json:"deleted_ms,omitempty"`
	// Snapshots keep the blocks that they name.
	Snapshots []inspectedSnapshot `json:"snapshots,omitempty"`
	Days      []dayRow            `json:"days"`
}

// inspectedSnapshot is one as the root names it: varve snapshot list reads more.
type inspectedSnapshot struct {
	Name      string `json:"name"`
	CreatedMs int64  `json:"created_ms"`
	Complete  bool   `json:"complete"`
}

type dayRow struct {
	Day        string `json:"day"`
	Generation uint64 `json:"generation"`
	Blocks     int    `json:"blocks"`
	Samples    int64  `json:"samples"`
	BlockBytes int64  `json:"block_bytes"`
	// Rollups are blocks too; Rolled are the blocks of samples that are in them, and Thinned says that samples have expired which they keep.
	Rollups     int               `json:"rollups"`
	RollupBytes int64             `json:"rollup_bytes"`
	Rolled      int               `json:"rolled"`
	Thinned     bool              `json:"thinned"`
	Bytes       int               `json:"catalog_bytes"`
	Flushed     map[string]uint64 `json:"flushed"`
	Retired     int               `json:"retired"`
	Dropped     int               `json:"dropped"`
	Tombstones  int               `json:"tombstones"`
	Quarantine  int               `json:"quarantined"`
	// DeletedMs is when the catalog became a gravestone.
	DeletedMs int64 `json:"deleted_ms,omitempty"`
}

type blockRow struct {
	Day        string `json:"day"`
	ID         string `json:"id"`
	Key        string `json:"key"`
	Order      uint64 `json:"order"`
	MinMs      int64  `json:"min_ms"`
	MaxMs      int64  `json:"max_ms"`
	Series     int64  `json:"series"`
	Samples    int64  `json:"samples"`
	Bytes      int64  `json:"bytes"`
	Writer     string `json:"writer"`
	Generation uint64 `json:"generation"`
	// Merged is how many blocks it was merged from; 0 if it was flushed.
	Merged int `json:"merged,omitempty"`
	// Format is hot, parquet, rollup 5m or rollup 1h; of rollups Samples are windows.
	Format string `json:"format"`
	// Rolled: all samples are in the rollups.
	Rolled bool `json:"rolled,omitempty"`
}

type claimRow struct {
	Day     string `json:"day"`
	Job     string `json:"job"`
	Holder  string `json:"holder"`
	UntilMs int64  `json:"until_ms"`
}

type quarantineRow struct {
	Day    string `json:"day"`
	ID     string `json:"id"`
	AtMs   int64  `json:"at_ms"`
	Reason string `json:"reason"`
}

type walPart struct {
	DataDir string       `json:"data_dir"`
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

// inspector reads without changing anything, and goes on where something is damaged.
type inspector struct {
	bucket          *blob.Bucket
	catalog         *catalog.Store
	tenant, dataDir string
	problems        []error
}

// inspect returns a report with whatever could be read, and an error that names the rest.
func (i *inspector) inspect(ctx context.Context, what string) (*report, error) {
	r := &report{}
	all := what == "all"
	var roster *catalog.Roster
	if all || what == "roster" || what == "wal" {
		roster = i.roster(ctx)
	}
	if (all || what == "roster") && roster != nil {
		r.Roster = rosterRows(roster)
	}
	if all || what == "catalog" || what == "blocks" {
		root, parts := i.partitions(ctx)
		if what != "blocks" {
			r.Catalog = &catalogPart{Tenant: i.tenant, Days: dayRows(parts)}
			if root != nil {
				r.Catalog.Settings, r.Catalog.DeletedMs = root.Settings, root.GravestoneMs
				for _, s := range root.Snapshots {
					r.Catalog.Snapshots = append(r.Catalog.Snapshots, inspectedSnapshot{s.Name, s.CreatedMs, s.Complete})
				}
			}
		}
		if what != "catalog" {
			r.Blocks = blockRows(parts)
		}
		r.Quarantined, r.Claims = quarantineRows(parts), claimRows(parts, time.Now().UnixMilli())
	}
	if all || what == "wal" {
		r.WAL = i.wal(ctx, roster)
	}
	for _, err := range i.problems {
		r.Problems = append(r.Problems, err.Error())
	}
	return r, errors.Join(i.problems...)
}

func (i *inspector) problem(err error) { i.problems = append(i.problems, err) }

// roster is nil if it cannot be read.
func (i *inspector) roster(ctx context.Context) *catalog.Roster {
	roster, err := i.catalog.Roster(ctx, nil)
	if err != nil {
		i.problem(err)
		return nil
	}
	return roster
}

func rosterRows(roster *catalog.Roster) []rosterRow {
	rows := []rosterRow{}
	for _, w := range roster.Writers {
		rows = append(rows, rosterRow{w.ID, w.State.String(), w.Address, w.Mode, w.Shipping, w.Released, w.StartedMs})
	}
	return rows
}

// partitions are the catalogs of all days that the tenant's root names, each read alone so that a bad one does not hide the others.
// The root is nil if it cannot be read.
func (i *inspector) partitions(ctx context.Context) (root *catalog.Root, parts []*catalog.Partition) {
	root, err := i.catalog.Root(ctx, i.tenant, nil)
	if err != nil {
		i.problem(err)
		return nil, nil
	}
	for _, d := range root.Days {
		p, err := i.catalog.Partition(ctx, i.tenant, d, nil)
		if err == nil && p.Missing {
			err = fmt.Errorf("catalog of %s/%s: the root names the day but the catalog is missing: %w", i.tenant, d.Dashed(), model.ErrNotFound)
		}
		if err != nil {
			i.problem(err)
			continue
		}
		parts = append(parts, p)
	}
	return root, parts
}

func dayRows(parts []*catalog.Partition) []dayRow {
	rows := []dayRow{}
	for _, p := range parts {
		row := dayRow{
			Day: p.Day.Dashed(), Generation: p.Generation, Blocks: len(p.Blocks), Bytes: p.Bytes, Flushed: p.Flushed,
			Retired: len(p.Retired), Dropped: len(p.Dropped), Tombstones: len(p.Tombstones), Quarantine: len(p.Quarantined),
			DeletedMs: p.GravestoneMs,
		}
		for _, b := range p.Blocks {
			row.Samples += b.Samples
			row.BlockBytes += b.Size
			if b.Rolled {
				row.Rolled++
			}
		}
		row.Rollups, row.Thinned = len(p.Rollups), p.Thinned
		for _, b := range p.Rollups {
			row.RollupBytes += b.Size
		}
		rows = append(rows, row)
	}
	return rows
}

func blockRows(parts []*catalog.Partition) []blockRow {
	rows := []blockRow{}
	for _, p := range parts {
		for _, b := range p.All() {
			rows = append(rows, blockRow{
				p.Day.Dashed(), b.ID, blocks.Key(b.Meta), b.Order, b.MinT, b.MaxT,
				b.Series, b.Samples, b.Size, b.Writer, b.Generation, len(b.Replaces), formatName(b.Format), b.Rolled,
			})
		}
	}
	return rows
}

func quarantineRows(parts []*catalog.Partition) (rows []quarantineRow) {
	for _, p := range parts {
		for _, q := range p.Quarantined {
			rows = append(rows, quarantineRow{p.Day.Dashed(), q.ID, q.AtMs, q.Reason})
		}
	}
	return rows
}

// claimRows are the claims that keep other workers from jobs at this time.
func claimRows(parts []*catalog.Partition, nowMs int64) (rows []claimRow) {
	for _, p := range parts {
		for _, c := range p.Claims {
			if c.InForce(nowMs) {
				rows = append(rows, claimRow{p.Day.Dashed(), c.Job, c.Holder, c.UntilMs})
			}
		}
	}
	return rows
}

// wal shows the local log, and what writers shipped if there is a roster.
func (i *inspector) wal(ctx context.Context, roster *catalog.Roster) *walPart {
	local, err := localSegments(i.dataDir)
	if err != nil {
		i.problem(err)
	}
	p := &walPart{DataDir: i.dataDir, Local: local, Shipped: []segmentRow{}}
	if roster == nil {
		return p
	}
	for _, w := range roster.Writers {
		if w.State == catalog.Clean || !w.Shipping {
			continue
		}
		rows, err := i.shipped(ctx, w)
		if err != nil {
			i.problem(err)
		}
		p.Shipped = append(p.Shipped, rows...)
	}
	return p
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
		return rows, fmt.Errorf("read local log: %w", err)
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
