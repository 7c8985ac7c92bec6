package prom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// TSDBOptions are the tunables of OpenTSDB; nil means defaults.
type TSDBOptions struct {
	// TempDir and SortBytes are for the log, see Config.
	TempDir   string
	SortBytes int64
}

// TSDB is a data directory of Prometheus, a snapshot of one, or a single block. Blocks are read as they are needed; the log (wal, wbl), which holds what is in no block yet, is
// sorted on local disk first. Files of head chunks are read where the log is damaged: otherwise all of their samples are in it. Nothing is written to the directory, so it may be one
// that a Prometheus works on, though a snapshot is better: that one may delete a block before its turn comes.
type TSDB struct {
	dir    string
	opts   TSDBOptions
	skips  *migrate.Skips
	blocks []*Block
	// log is what the log has, and late what that of out-of-order samples has; nil if there is none.
	log, late *spill.Sorter
}

var _ migrate.Source = (*TSDB)(nil)

// OpenTSDB opens the blocks of the directory. Blocks that cannot be opened, and directories that were half-written, go to skips. Close it.
func OpenTSDB(dir string, skips *migrate.Skips, o *TSDBOptions) (*TSDB, error) {
	t := &TSDB{dir: dir, skips: skips}
	if o != nil {
		t.opts = *o
	}
	if t.opts.SortBytes <= 0 {
		t.opts.SortBytes = migrate.DefaultSortBytes
	}
	if err := t.open(); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, errors.Join(err, t.Close()))
	}
	return t, nil
}

func (t *TSDB) open() error {
	if _, err := os.Stat(filepath.Join(t.dir, "meta.json")); err == nil {
		return t.openBlock(t.dir)
	}
	entries, err := os.ReadDir(t.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", err, model.ErrNotFound)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(t.dir, e.Name())
		name, half := cutHalf(e.Name())
		if len(name) != ulidLength || strings.Trim(name, ulidLetters) != "" || !e.IsDir() {
			continue
		}
		if half != "" {
			err = t.skips.Add(migrate.Skip{Kind: "directory", Where: path, Reason: half})
		} else {
			err = t.openBlock(path)
		}
		if err != nil {
			return err
		}
	}
	t.dropParents()
	if len(t.blocks) == 0 && len(t.skips.Named()) == 0 && !t.hasLog("wal") {
		return fmt.Errorf("there is no block and no log in it: %w", model.ErrNotFound)
	}
	return nil
}

// Names of blocks are ULIDs.
const (
	ulidLength  = 26
	ulidLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// cutHalf takes off a name what Prometheus puts behind those of directories that are not complete, and says what that means.
func cutHalf(name string) (id, half string) {
	for suffix, why := range map[string]string{
		".tmp-for-creation": "the block was not written to its end", ".tmp-for-deletion": "the block is being deleted", ".tmp": "the block was not written to its end",
	} {
		if s, ok := strings.CutSuffix(name, suffix); ok {
			return s, why
		}
	}
	return name, ""
}

func (t *TSDB) openBlock(dir string) error {
	b, err := OpenBlock(dir, t.skips, nil)
	if err != nil {
		return t.skips.Add(migrate.Skip{Kind: "block", Where: dir, Reason: err.Error()})
	}
	t.blocks = append(t.blocks, b)
	return nil
}

// dropParents lets go of blocks that another one was made of and which were not deleted yet, and puts the others in order: those made later last.
func (t *TSDB) dropParents() {
	parents := map[string]bool{}
	for _, b := range t.blocks {
		for _, p := range b.meta.Compaction.Parents {
			parents[p.ULID.String()] = true
		}
	}
	t.blocks = slices.DeleteFunc(t.blocks, func(b *Block) bool {
		gone := parents[b.meta.ULID.String()]
		if gone {
			_ = b.Close() // it was only read
		}
		return gone
	})
	slices.SortFunc(t.blocks, func(a, b *Block) int {
		return cmp.Or(cmp.Compare(a.meta.MinTime, b.meta.MinTime), a.meta.ULID.Compare(b.meta.ULID))
	})
}

// Days implements Source. It reads the log.
func (t *TSDB) Days(ctx context.Context, r model.TimeRange, want migrate.Want) ([]migrate.Extent, error) {
	if t.hasLog("wal") {
		if err := t.readLog(ctx, r, want); err != nil {
			return nil, err
		}
	}
	extents := map[model.Day]*migrate.Extent{}
	at := func(d model.Day) *migrate.Extent {
		if extents[d] == nil {
			extents[d] = &migrate.Extent{Day: d}
		}
		return extents[d]
	}
	for _, b := range t.blocks {
		Extents(&b.meta, fmt.Sprintf("block %s %d ", b.meta.ULID, b.meta.Stats.NumTombstones), r, at)
	}
	for _, sorted := range t.sorted() {
		for d, n := range sorted.Counts() {
			e := at(d)
			e.Samples += n
			// By content: the log grows while there is a Prometheus, and is written anew by its checkpoints, but most of its days stay what they are.
			print, _, err := spill.Print(sorted.Series(ctx, d), d.Range())
			if err != nil {
				return nil, err
			}
			e.Fingerprint += "log " + print
		}
	}
	return migrate.InOrder(extents), nil
}

// Series implements Source.
func (t *TSDB) Series(ctx context.Context, r model.TimeRange, want migrate.Want) iter.Seq2[model.Series, error] {
	// Of equal timestamps the last input wins, and that is the sample that came out of order: it is in a block, while the other one may be in the log, or in the log for such. One
	// of them is the staleness marker of a target that was taken away. Prometheus answers so too, but where both logs and a block meet, its merge of chunks decides.
	var inputs []iter.Seq2[model.Series, error]
	if t.log != nil {
		inputs = append(inputs, t.log.Series(ctx, model.DayOf(r.MinMs)))
	}
	for _, b := range t.blocks {
		if RangeOf(&b.meta).Overlaps(r) {
			inputs = append(inputs, b.Series(ctx, r, want))
		}
	}
	if t.late != nil {
		inputs = append(inputs, t.late.Series(ctx, model.DayOf(r.MinMs)))
	}
	if len(inputs) == 1 {
		return inputs[0]
	}
	return spill.Merged(ctx, inputs, spill.LastWins)
}

// Close implements Source.
func (t *TSDB) Close() error {
	var errs []error
	for _, b := range t.blocks {
		errs = append(errs, b.Close())
	}
	t.blocks = nil
	for _, s := range t.sorted() {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// sorted are the sorters that there are.
func (t *TSDB) sorted() []*spill.Sorter {
	return slices.DeleteFunc([]*spill.Sorter{t.log, t.late}, func(s *spill.Sorter) bool { return s == nil })
}
