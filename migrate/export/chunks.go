package export

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/varvedb/varve/model"
)

// chunkSamples is how many samples a chunk of Prometheus has.
const chunkSamples = 120

// chunker makes chunks of the samples of one series after another. Start timestamps are lost: the encodings that have them are known to newer readers only.
type chunker struct {
	done []chunks.Meta
	// at is the chunk that is being filled, by app, of the encoding, with n samples.
	at  chunks.Meta
	app chunkenc.Appender
	enc chunkenc.Encoding
	n   int
}

// cut returns the chunks of the samples. They are valid until the next call.
func (k *chunker) cut(c *model.Columns, left map[string]int64) ([]chunks.Meta, error) {
	k.done, k.at, k.app, k.enc, k.n = k.done[:0], chunks.Meta{}, nil, chunkenc.EncNone, 0
	for i := range c.T {
		x, err := at(c, i)
		if err != nil {
			return nil, err
		}
		if x.startMs != 0 {
			left[LeftStarts]++
		}
		if err := k.add(&x); err != nil {
			return nil, fmt.Errorf("sample at %d: %w", x.t, err)
		}
	}
	k.end()
	return k.done, nil
}

func encodingOf(x *sample) chunkenc.Encoding {
	switch {
	case x.whole != nil:
		return chunkenc.EncHistogram
	case x.float != nil:
		return chunkenc.EncFloatHistogram
	}
	return chunkenc.EncXOR
}

func (k *chunker) add(x *sample) error {
	enc := encodingOf(x)
	// prev tells the first histogram of a chunk whether the counters were reset.
	var prev chunkenc.Appender
	if k.n == chunkSamples || enc != k.enc {
		if enc == k.enc {
			prev = k.app
		}
		if err := k.start(enc, x.t); err != nil {
			return err
		}
	}
	if enc == chunkenc.EncXOR {
		k.app.Append(0, x.t, x.value)
		k.n++
		k.at.MaxTime = x.t
		return nil
	}
	var c chunkenc.Chunk
	var recoded bool
	var err error
	if x.whole != nil {
		c, recoded, k.app, err = k.app.AppendHistogram(prev, 0, x.t, x.whole, false)
	} else {
		c, recoded, k.app, err = k.app.AppendFloatHistogram(prev, 0, x.t, x.float, false)
	}
	if err != nil {
		return err
	}
	switch {
	case c == nil:
	case recoded:
		k.at.Chunk = c
	default: // the layout or a reset asks for a new one
		k.end()
		k.at, k.enc, k.n = chunks.Meta{Chunk: c, MinTime: x.t}, enc, 0
	}
	k.n++
	k.at.MaxTime = x.t
	return nil
}

func (k *chunker) start(enc chunkenc.Encoding, t int64) error {
	k.end()
	c, err := chunkenc.NewEmptyChunk(enc)
	if err != nil {
		return err
	}
	k.at, k.enc, k.n = chunks.Meta{Chunk: c, MinTime: t}, enc, 0
	k.app, err = c.Appender()
	return err
}

func (k *chunker) end() {
	if k.n > 0 {
		k.done = append(k.done, k.at)
	}
	k.n = 0
}

// chunkRewriter writes the chunks of a block again, in another order.
type chunkRewriter struct {
	dir string
	in  *chunks.Reader
	out *chunks.Writer
}

func newChunkRewriter(dir string, segment int64) (*chunkRewriter, error) {
	in, err := chunks.NewDirReader(filepath.Join(dir, unsortedDir), nil)
	if err != nil {
		return nil, err
	}
	out, err := chunks.NewWriter(filepath.Join(dir, chunksDir), chunks.WithSegmentSize(segment))
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return &chunkRewriter{dir: dir, in: in, out: out}, nil
}

// copy writes the chunks of a series and sets where they are now.
func (r *chunkRewriter) copy(metas []chunks.Meta) error {
	for i := range metas {
		c, _, err := r.in.ChunkOrIterable(metas[i])
		if err != nil {
			return err
		}
		metas[i].Chunk = c
	}
	if err := r.out.WriteChunks(metas...); err != nil {
		return err
	}
	for i := range metas {
		metas[i].Chunk = nil
	}
	return nil
}

func (r *chunkRewriter) close() error {
	return errors.Join(r.out.Close(), r.in.Close(), os.RemoveAll(filepath.Join(r.dir, unsortedDir)))
}
