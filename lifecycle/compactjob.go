package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// stream merges into one parquet block after another, each of which is uploaded as it is made: of its bytes one part is held.
func (j *mergeJob) stream(ctx context.Context, m *blocks.Merger, attempt uint32) (outputs []*blocks.Meta, err error) {
	j.sinceMs = j.l.nowMs()
	for {
		if more, err := m.More(ctx); err != nil || !more {
			return outputs, err
		}
		params := blocks.MergeParams(j.inputs, blocks.Parquet, len(outputs), attempt)
		out := newOutput(j.l.c.Bucket.NewUpload(ctx, blocks.KeyOf(j.tenant, j.day, params.ID, blocks.Parquet)))
		meta, err := blocks.Build(ctx, params, m.Series(ctx, j.roomInDay(ctx, m, out)), out)
		if err == nil {
			err = j.create(ctx, blocks.Key(meta), out)
		}
		if err != nil {
			out.upload.Abort()
			return nil, err
		}
		outputs = append(outputs, meta)
		j.progress(m.Progress())
	}
}

// roomInDay returns a function that says whether one more series belongs to the output, which ends with a metric if it can, and looks after
// claim and progress in passing.
func (j *mergeJob) roomInDay(ctx context.Context, m *blocks.Merger, out *output) func() bool {
	s := &j.l.cfg.Compact
	series := int64(0)
	var metric []byte
	return func() bool {
		if series%1024 == 0 {
			j.prolong(ctx)
			j.progress(m.Progress())
		}
		next := m.NextMetric()
		if series > 0 && s.full(out.upload.Size(), series, string(next) != string(metric)) {
			return false
		}
		metric = append(metric[:0], next...)
		series++
		return true
	}
}

// full reports whether a block of so many bytes and series takes no more; other: the next series is of another metric.
func (s *CompactSettings) full(bytes, series int64, other bool) bool {
	bytes += series * indexBytes
	return bytes >= s.MaxOutputBytes || series >= s.MaxOutputSeries || bytes >= s.MinOutputBytes && other
}

// create ends the upload of an output. A taken name is fine if it holds the same bytes: a lost answer, or a worker that was faster.
func (j *mergeJob) create(ctx context.Context, key string, out *output) error {
	_, err := out.upload.Create()
	if !errors.Is(err, model.ErrConflict) {
		return err
	}
	same, err := j.sums(ctx, key, out.upload.Size(), out.crc)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("%s: %w", key, errNextAttempt)
	}
	return nil
}

// output is an upload with the CRC-32C of what was written.
type output struct {
	upload *blob.Upload
	crc    uint32
	table  *crc32.Table
}

func newOutput(u *blob.Upload) *output {
	return &output{upload: u, table: crc32.MakeTable(crc32.Castagnoli)}
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.crc = crc32.Update(o.crc, o.table, p)
	return o.upload.Write(p)
}
