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

const metaFile = "meta.json"

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
	group, gctx := errgroup.WithContext(ctx)
	for _, file := range slices.Sorted(maps.Keys(b.files)) {
		group.Go(func() error {
			select {
			case s.slots <- struct{}{}:
				defer func() { <-s.slots }()
			case <-gctx.Done():
				return gctx.Err()
			}
			return s.fetchFile(gctx, s.prefix+b.name+"/"+file, b.files[file], filepath.Join(dir, filepath.FromSlash(file)))
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.fetchFile(ctx, s.prefix+b.name+"/"+metaFile, b.metaBytes, filepath.Join(dir, metaFile))
}

// fetchFile brings an object of the size into the file, piece by piece. An object of another size is an error, as what is cut would be taken for damaged, and left out.
func (s *Source) fetchFile(ctx context.Context, key string, size int64, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, has, err := s.bucket.GetFirst(ctx, key, pieceBytes)
	if err != nil {
		return gone(err)
	}
	if has != size || int64(len(data)) != min(pieceBytes, size) {
		return fmt.Errorf("fetch %s: %d of %d bytes came first, and it was listed with %d: %w", key, len(data), has, size, model.ErrUnavailable)
	}
	for off := int64(0); ; {
		if _, err := f.Write(data); err != nil {
			return err
		}
		if filepath.Base(path) != metaFile {
			s.tell(int64(len(data)), s.bytes)
		}
		if off += int64(len(data)); off >= size {
			return nil
		}
		if data, err = s.bucket.GetRange(ctx, key, off, min(pieceBytes, size-off)); err != nil {
			return gone(err)
		}
	}
}

// gone says what it means that an object is missing that was listed.
func gone(err error) error {
	if errors.Is(err, model.ErrNotFound) {
		return fmt.Errorf("the block was compacted or deleted meanwhile, start again: %w", err)
	}
	return err
}
