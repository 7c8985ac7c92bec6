package export

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// blockWriter writes one block of Prometheus. Series come in our order, metric by metric; the index there is by labels alone, where names in capitals come before that of the
// metric, and chunks lie in the order of the index. So chunks are written as they come, and what the index needs of a series is sorted on the side. Only if
// the order was not the one that the block needs, the chunks are written a second time. For one goroutine.
type blockWriter struct {
	j   *job
	dir string
	// meta becomes meta.json.
	meta   tsdb.BlockMeta
	chunks *chunks.Writer
	cut    chunker
	series *sorter
	// inOrder: no series came before one that it lies behind.
	inOrder bool
	segment int64 // most bytes of a file of chunks
	last    []byte
	key     []byte
	payload []byte
}

const (
	chunksDir = "chunks"
	// unsortedDir holds the chunks as they came, indexFile and metaFile are names of Prometheus.
	unsortedDir = "chunks.unsorted"
	indexFile   = "index"
	metaFile    = "meta.json"
)

// newBlockWriter begins a block below the directory.
func newBlockWriter(below string, id ulid.ULID, j *job, sortBytes, segment int64) (*blockWriter, error) {
	w := &blockWriter{j: j, inOrder: true, segment: segment, series: newSorter(j.cfg.TempDir, sortBytes)}
	w.meta.ULID = id
	w.dir = filepath.Join(below, w.meta.ULID.String())
	var err error
	w.chunks, err = chunks.NewWriter(filepath.Join(w.dir, unsortedDir), chunks.WithSegmentSize(segment))
	return w, err
}

func (w *blockWriter) add(ls labels.Labels, c *model.Columns) error {
	metas, err := w.cut.cut(c, w.j.report.Left)
	if err != nil {
		return fmt.Errorf("series %.200s: %w", ls, err)
	}
	if err := w.chunks.WriteChunks(metas...); err != nil {
		return err
	}
	w.count(c, metas)
	w.key = w.key[:0]
	ls.Range(func(l labels.Label) { w.key = appendKeyText(appendKeyText(w.key, l.Name), l.Value) })
	w.inOrder = w.inOrder && string(w.key) > string(w.last)
	w.last = append(w.last[:0], w.key...)
	w.payload = w.payload[:0]
	for _, m := range metas {
		w.payload = binary.AppendUvarint(w.payload, uint64(m.Ref))
		w.payload = binary.AppendVarint(w.payload, m.MinTime)
		w.payload = binary.AppendUvarint(w.payload, uint64(m.MaxTime-m.MinTime))
	}
	return w.series.add(w.key, w.payload)
}

func (w *blockWriter) count(c *model.Columns, metas []chunks.Meta) {
	m, s := &w.meta, &w.meta.Stats
	first, last := c.T[0], c.T[len(c.T)-1]
	if s.NumSamples == 0 {
		m.MinTime, m.MaxTime = first, last+1
	}
	m.MinTime, m.MaxTime = min(m.MinTime, first), max(m.MaxTime, last+1)
	s.NumSeries++
	s.NumChunks += uint64(len(metas))
	s.NumSamples += uint64(len(c.T))
	for i := range c.T {
		if c.H != nil && isHistogram(c.H[i]) {
			s.NumHistogramSamples++
		} else {
			s.NumFloatSamples++
		}
	}
}

// each calls fn with the series in the order of the index. Metas are valid until it returns.
func (w *blockWriter) each(fn func(ls labels.Labels, metas []chunks.Meta) error) error {
	b := labels.NewScratchBuilder(16)
	var metas []chunks.Meta
	return w.series.each(func(key, payload []byte) error {
		b.Reset()
		for len(key) > 0 {
			var name, value []byte
			name, key = cutKeyText(key)
			value, key = cutKeyText(key)
			b.Add(string(name), string(value))
		}
		metas = metas[:0]
		for len(payload) > 0 {
			ref, k := binary.Uvarint(payload)
			first, l := binary.Varint(payload[k:])
			length, o := binary.Uvarint(payload[k+l:])
			metas = append(metas, chunks.Meta{Ref: chunks.ChunkRef(ref), MinTime: first, MaxTime: first + int64(length)})
			payload = payload[k+l+o:]
		}
		return fn(b.Labels(), metas)
	})
}

// symbols are all texts of the labels, sorted. As index.Writer holds them, they are held here.
func (w *blockWriter) symbols(ctx context.Context) ([]string, error) {
	set := map[string]struct{}{}
	n := 0
	err := w.series.each(func(key, _ []byte) error {
		for len(key) > 0 {
			var text []byte
			text, key = cutKeyText(key)
			if _, ok := set[string(text)]; !ok {
				set[string(text)] = struct{}{}
			}
		}
		if n++; n%progressEvery == 0 {
			return ctx.Err()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(set)), nil
}

// endChunks lets go of the buffers of chunks: no more series come.
func (w *blockWriter) endChunks() error {
	if w.chunks == nil {
		return nil
	}
	err := w.chunks.Close()
	w.chunks = nil
	return err
}

// finish makes the block complete and returns its size.
func (w *blockWriter) finish(ctx context.Context) (size int64, err error) {
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.endChunks(); err != nil {
		return 0, err
	}
	rewrite := (*chunkRewriter)(nil)
	if w.inOrder {
		err = os.Rename(filepath.Join(w.dir, unsortedDir), filepath.Join(w.dir, chunksDir))
	} else {
		rewrite, err = newChunkRewriter(w.dir, w.segment)
	}
	if err != nil {
		return 0, err
	}
	err = w.writeIndex(ctx, rewrite)
	if rewrite != nil {
		err = errors.Join(err, rewrite.close())
	}
	if err == nil {
		err = w.writeMeta()
	}
	if err == nil {
		err = syncAll(w.dir)
	}
	if err != nil {
		return 0, err
	}
	return sizeOf(w.dir)
}

func (w *blockWriter) writeIndex(ctx context.Context, rewrite *chunkRewriter) (err error) {
	symbols, err := w.symbols(ctx)
	if err != nil {
		return err
	}
	iw, err := index.NewWriter(ctx, filepath.Join(w.dir, indexFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, iw.Close()) }()
	for _, s := range symbols {
		if err := iw.AddSymbol(s); err != nil {
			return err
		}
	}
	ref := storage.SeriesRef(0)
	return w.each(func(ls labels.Labels, metas []chunks.Meta) error {
		if rewrite != nil {
			if err := rewrite.copy(metas); err != nil {
				return err
			}
		}
		ref++
		if err := iw.AddSeries(ref, ls, metas...); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// thanosMeta is what Thanos adds to meta.json.
type thanosMeta struct {
	Version    int               `json:"version"`
	Labels     map[string]string `json:"labels"`
	Downsample struct {
		Resolution int64 `json:"resolution"`
	} `json:"downsample"`
	Source string `json:"source"`
}

func (w *blockWriter) writeMeta() error {
	w.meta.Version = 1
	w.meta.Compaction.Level = 1
	w.meta.Compaction.Sources = append(w.meta.Compaction.Sources[:0], w.meta.ULID)
	all := struct {
		tsdb.BlockMeta
		Thanos *thanosMeta `json:"thanos,omitempty"`
	}{BlockMeta: w.meta}
	if len(w.j.cfg.ExternalLabels) > 0 {
		all.Thanos = &thanosMeta{Version: 1, Labels: w.j.cfg.ExternalLabels, Source: "varve"}
	}
	b, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, metaFile), append(b, '\n'), 0o644)
}

// close removes what is not part of the block.
func (w *blockWriter) close() error {
	return errors.Join(w.endChunks(), w.series.close(), os.RemoveAll(filepath.Join(w.dir, unsortedDir)))
}

// syncAll makes the files of a directory durable, and their names.
func syncAll(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			dirs = append(dirs, path)
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
	for _, d := range dirs {
		if err == nil {
			err = vfs.OS{}.SyncDir(d)
		}
	}
	return err
}

func sizeOf(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		i, err := d.Info()
		if err == nil {
			size += i.Size()
		}
		return err
	})
	return size, err
}
