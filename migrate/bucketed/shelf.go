package bucketed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/prom"
	"github.com/varvedb/varve/model"
)

// shelf holds the blocks that are here. Safe for concurrent use.
type shelf struct {
	s *Source

	mu   sync.Mutex // guards what follows
	dir  *tempDir
	made int
	held map[string]*held
}

// held is a block that is here, or on its way.
type held struct {
	lastDay model.Day
	dir     string
	users   int // guarded by the mutex of the shelf
	// ready is closed when block and err are set; block is nil if it cannot be read, which is in the skips.
	ready chan struct{}
	block *prom.Block
	err   error
}

// take returns the block, which it fetches if need be; its block is nil if it is damaged. Call leave when it is used no more, unless there was an error.
func (f *shelf) take(ctx context.Context, b *listed) (*held, error) {
	for {
		h, err := f.try(ctx, b)
		// Who fetched it was called off, we were not.
		if !errors.Is(err, context.Canceled) || ctx.Err() != nil {
			return h, err
		}
	}
}

func (f *shelf) try(ctx context.Context, b *listed) (*held, error) {
	h, first, err := f.enter(b)
	if err != nil {
		return nil, err
	}
	if first {
		h.block, h.err = f.open(ctx, b, h.dir)
		close(h.ready)
	}
	select {
	case <-h.ready:
	case <-ctx.Done():
		f.leave(h)
		return nil, ctx.Err()
	}
	if h.err == nil {
		return h, nil
	}
	f.mu.Lock()
	if f.held[b.name] == h {
		delete(f.held, b.name) // whoever comes next tries anew
	}
	f.mu.Unlock()
	return nil, errors.Join(h.err, removeIf(first, h.dir))
}

func removeIf(yes bool, dir string) error {
	if !yes {
		return nil
	}
	return os.RemoveAll(dir)
}

// enter notes a user of the block. first: who is to fetch it.
func (f *shelf) enter(b *listed) (h *held, first bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.held[b.name]; h != nil {
		h.users++
		return h, false, nil
	}
	if f.dir == nil {
		if f.dir, err = newTempDir(f.s.opts.TempDir); err != nil {
			return nil, false, err
		}
	}
	f.made++
	h = &held{
		lastDay: model.DayOf(prom.RangeOf(&b.info.BlockMeta).MaxMs), dir: filepath.Join(f.dir.path, fmt.Sprintf("%s-%d", b.name, f.made)),
		users: 1, ready: make(chan struct{}),
	}
	f.held[b.name] = h
	return h, true, nil
}

func (f *shelf) open(ctx context.Context, b *listed, dir string) (*prom.Block, error) {
	if err := f.s.fetch(ctx, b, dir); err != nil {
		return nil, err
	}
	where := f.s.where(b.name)
	block, err := prom.OpenBlock(dir, f.s.skips, &prom.BlockOptions{Name: where, Rename: f.s.rename(b)})
	if err != nil {
		return nil, f.s.skips.Add(migrate.Skip{Kind: "block", Where: where, Samples: int64(b.info.Stats.NumSamples), Reason: err.Error()})
	}
	return block, nil
}

// leave ends a use of the block.
func (f *shelf) leave(h *held) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h.users--
}

// tidy removes blocks that no day from the given one on needs.
func (f *shelf) tidy(from model.Day) error {
	f.mu.Lock()
	var over []*held
	for name, h := range f.held {
		if h.users == 0 && h.lastDay < from {
			delete(f.held, name)
			over = append(over, h)
		}
	}
	f.mu.Unlock()
	return remove(over)
}

func remove(blocks []*held) error {
	var errs []error
	for _, h := range blocks {
		<-h.ready
		if h.block != nil {
			errs = append(errs, h.block.Close())
		}
		errs = append(errs, os.RemoveAll(h.dir))
	}
	return errors.Join(errs...)
}

// Close removes all of them.
func (f *shelf) Close() error {
	f.mu.Lock()
	var over []*held
	for _, h := range f.held {
		over = append(over, h)
	}
	dir := f.dir
	f.held, f.dir = map[string]*held{}, nil
	f.mu.Unlock()
	err := remove(over)
	if dir != nil {
		err = errors.Join(err, dir.Close())
	}
	return err
}
