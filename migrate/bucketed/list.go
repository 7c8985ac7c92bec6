package bucketed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// listed is a directory of the bucket that is named as a block.
type listed struct {
	name string
	// files are those that are fetched, with their sizes; metaBytes is the size of meta.json, -1 if there is none.
	files     map[string]int64
	metaBytes int64
	// marked: it is marked for deletion.
	marked bool
	// info is nil until its meta.json was read, and if it is left out. lack is what is missing of the files by it, or "".
	info *info
	lack string
}

// bytes are those of the files that are fetched.
func (l *listed) bytes() (n int64) {
	for _, size := range l.files {
		n += size
	}
	return n
}

const deletionMark = "deletion-mark.json"

// list finds the blocks of the bucket, by name. Marks that lie apart are read first: a block is marked when the one that replaces it is there, so that one is in what is listed after.
func (s *Source) list(ctx context.Context) ([]*listed, error) {
	found := map[string]*listed{}
	at := func(name string) *listed {
		b := found[name]
		if b == nil {
			b = &listed{name: strings.Clone(name), files: map[string]int64{}, metaBytes: -1}
			found[b.name] = b
		}
		return b
	}
	names := map[string]string{} // most blocks have files of the same names
	marked := map[string]bool{}
	for o, err := range s.bucket.List(ctx, s.prefix+"markers/") {
		if err != nil {
			return nil, err
		}
		name, mark, _ := strings.Cut(strings.TrimPrefix(o.Key, s.prefix+"markers/"), "-")
		if mark == deletionMark {
			marked[name] = true
		}
	}
	for o, err := range s.bucket.List(ctx, s.prefix) {
		if err != nil {
			return nil, err
		}
		name, file, ok := strings.Cut(strings.TrimPrefix(o.Key, s.prefix), "/")
		if !ok || !ulids.MatchString(name) {
			continue
		}
		switch b := at(name); {
		case file == "meta.json":
			b.metaBytes = o.Size
		case file == deletionMark:
			b.marked = true
		case dataFile.MatchString(file):
			if names[file] == "" {
				names[file] = strings.Clone(file)
			}
			b.files[names[file]] = o.Size
		}
	}
	out := make([]*listed, 0, len(found))
	for _, b := range found {
		b.marked = b.marked || marked[b.name]
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b *listed) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// metasAtOnce is how many meta.json are read at one time.
const metasAtOnce = 16

// readMetas reads each meta.json. Blocks without one, or with one that is no good, are left out and named.
func (s *Source) readMetas(ctx context.Context, blocks []*listed) ([]*listed, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.opts.metasAtOnce)
	whys := make([]string, len(blocks))
	for i, b := range blocks {
		group.Go(func() (err error) {
			whys[i], err = s.readMeta(ctx, b)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []*listed
	for i, b := range blocks {
		if whys[i] == "" {
			out = append(out, b)
			continue
		}
		if err := s.skips.Add(migrate.Skip{Kind: "block", Where: s.where(b.name), Reason: whys[i]}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readMeta reads the meta.json of a block, or says why it is left out. Whatever another try may mend is an error: the block would be missed for good.
func (s *Source) readMeta(ctx context.Context, b *listed) (why string, err error) {
	const missing = "it has no meta.json: it was not uploaded to its end, or is being deleted"
	switch {
	case b.metaBytes < 0:
		return missing, nil
	case b.metaBytes > maxMetaBytes:
		return fmt.Sprintf("its meta.json has %d bytes, more than %d", b.metaBytes, maxMetaBytes), nil
	}
	key := s.prefix + b.name + "/meta.json"
	data, size, err := s.bucket.GetFirst(ctx, key, maxMetaBytes)
	if errors.Is(err, model.ErrNotFound) {
		return missing, nil
	}
	if err != nil {
		return "", err
	}
	if size != b.metaBytes || int64(len(data)) != size {
		return "", fmt.Errorf("read %s: %d bytes came of %d, and it was listed with %d: %w", key, len(data), size, b.metaBytes, model.ErrUnavailable)
	}
	if b.info, err = parseMeta(b.name, data); b.info != nil {
		b.lack = incomplete(b)
		b.info.files = nil // there may be many blocks
	}
	return reason(err), nil
}

// reason is the text of an error, or "".
func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
