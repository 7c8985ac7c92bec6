package bucketed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// pieceBytes is how much of a file is fetched with one request, and held in memory.
const pieceBytes = 4 << 20

// fetch brings the files of a block into the directory, which it makes. After an error the directory is of no use.
func (s *Source) fetch(ctx context.Context, b *listed, dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "chunks"), 0o700); err != nil {
		return err
	}
	var need int64
	for _, size := range b.files {
		need += size
	}
	if free, err := (vfs.OS{}).Free(dir); err == nil && free < need {
		return fmt.Errorf("fetch block %s: it has %s, and there are %s free in %s: %w", b.name, humanize.IBytes(uint64(need)), humanize.IBytes(uint64(max(0, free))), s.tempParent(), model.ErrLimit)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, file := range slices.Sorted(maps.Keys(b.files)) {
		group.Go(func() error {
			select {
			case s.slots <- struct{}{}:
				defer func() { <-s.slots }()
			case <-ctx.Done():
				return ctx.Err()
			}
			return s.fetchFile(ctx, s.prefix+b.name+"/"+file, b.files[file], filepath.Join(dir, filepath.FromSlash(file)))
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	key := s.prefix + b.name + "/meta.json"
	data, _, err := s.bucket.GetFirst(ctx, key, maxMetaBytes)
	if err != nil {
		return gone(err)
	}
	return os.WriteFile(filepath.Join(dir, "meta.json"), data, 0o600)
}

// fetchFile brings an object of the size into the file, piece by piece.
func (s *Source) fetchFile(ctx context.Context, key string, size int64, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for off := int64(0); off < size; off += pieceBytes {
		data, err := s.bucket.GetRange(ctx, key, off, min(pieceBytes, size-off))
		if err != nil {
			return gone(err)
		}
		if _, err := f.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// gone says what it means that an object is missing that was listed.
func gone(err error) error {
	if errors.Is(err, model.ErrNotFound) {
		return fmt.Errorf("the block was compacted or deleted meanwhile, start again: %w", err)
	}
	return err
}
