package lines

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/text"
)

// NewText reads files in Prometheus' text format or OpenMetrics, whose samples must have a time.
func NewText(paths []string, openMetrics bool, skips *migrate.Skips, o *FileOptions) *Files {
	return newFiles(textFormat{openMetrics}, paths, skips, o)
}

type textFormat struct{ openMetrics bool }

func (t textFormat) name() string {
	if t.openMetrics {
		return "openmetrics 3"
	}
	return "text 2"
}

// knownBytes is for series that are met again and again.
const knownBytes = 32 << 20

// noTime stands for a time that is not given. It is that of no sample.
const noTime = math.MinInt64

func (t textFormat) read(ctx context.Context, f *file) error {
	r := text.NewReader(f.in, &text.Options{OpenMetrics: t.openMetrics, DefaultMs: noTime, PassLong: true, SeriesBytes: knownBytes})
	b := labels.NewScratchBuilder(16)
	f.rows = newRows(f)
	timeless := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, model.ErrInvalid) {
			// What comes behind # EOF is not read.
			if err := f.skip(0, 0, err.Error()); err != nil {
				return err
			}
			break
		}
		if err != nil {
			return err
		}
		if err := f.bad(c.Bad, c.BadLines); err != nil {
			return err
		}
		for i := range c.Batch.Series {
			s := &c.Batch.Series[i]
			sample := c.Batch.Samples[s.First]
			if sample.T == noTime {
				timeless++
				continue
			}
			if err := t.add(f, c, i, sample, &b); err != nil {
				return err
			}
			f.rows.sample(sample.T)
		}
		if err := t.rows(f, &c.Batch, &b); err != nil {
			return err
		}
	}
	if err := f.rows.finish(); err != nil {
		return err
	}
	return f.timeless(timeless)
}

// add adds a sample of the i-th series of the chunk, which is found at once if it was met before.
func (t textFormat) add(f *file, c *text.Chunk, i int, sample model.Sample, b *labels.ScratchBuilder) error {
	if ok, err := f.inRange(0, sample.T); !ok {
		return err
	}
	known := c.Known[i]
	if known != nil {
		if o, _ := known.Slot.(*spill.Open); o != nil && f.s.sorter.Holds(o) {
			return f.s.sorter.Put(o, sample.T, sample.V, nil)
		}
	}
	key := c.Batch.Series[i].Key
	o, err := f.series(0, key, decodeKey(c.Batch.Labels, key, b))
	if o == nil || err != nil {
		return err
	}
	if known != nil {
		known.Slot = o
	}
	return f.s.sorter.Put(o, sample.T, sample.V, nil)
}

// rows takes what a batch says beside samples.
func (t textFormat) rows(f *file, batch *model.Batch, b *labels.ScratchBuilder) error {
	for i := range batch.Exemplars {
		e := &batch.Exemplars[i]
		if err := f.rows.exemplars(e, decodeKey(batch.Labels, e.Key, b)); err != nil {
			return err
		}
	}
	for i := range batch.Metadata {
		f.rows.metadata(&batch.Metadata[i])
	}
	return nil
}

func decodeKey(d model.LabelDecoder, key []byte, b *labels.ScratchBuilder) func() (labels.Labels, error) {
	return func() (labels.Labels, error) {
		b.Reset()
		if err := d.Decode(key, b); err != nil {
			return labels.EmptyLabels(), err
		}
		b.Sort()
		return b.Labels(), nil
	}
}
