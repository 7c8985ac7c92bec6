package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// parquetRow is one sample. The files that compaction makes are smaller, and need a view to be read; these do not.
type parquetRow struct {
	Metric string `parquet:"metric,dict"`
	// Labels are the others, as a JSON object.
	Labels string `parquet:"labels,dict"`
	TS     int64  `parquet:"ts,timestamp(millisecond),delta"`
	// Value is null where the sample is a native histogram.
	Value *float64 `parquet:"value"`
	// Start is when the counter began to count, null if that is not known.
	Start *int64 `parquet:"start,timestamp(millisecond)"`
	// Histogram is the protobuf message prometheus.Histogram of remote write, or null.
	Histogram []byte `parquet:"histogram,optional"`
}

// parquetTarget writes one file, or a directory with a file a day.
type parquetTarget struct {
	j     *job
	dir   *dirOutput  // nil for one file
	one   *fileOutput // nil for a directory
	file  vfs.File    // of the day
	count countWriter
	w     *parquet.GenericWriter[parquetRow]
	rows  []parquetRow
	// values and starts are what rows point to.
	values []float64
	starts []int64
	// grouped is what rows since the last end of a row group that was asked for have in labels, of each series once, and in histograms.
	grouped int64
	files   int
	bytes   int64
}

// A row group is held until it ends: at parquetRowGroup rows, or at parquetGroupBytes of labels and histograms.
const (
	parquetBatch      = 1024
	parquetRowGroup   = 1 << 20
	parquetGroupBytes = 32 << 20
	parquetSuffix     = ".parquet"
)

func newParquet(j *job) (target, error) {
	p := &parquetTarget{
		j: j, rows: make([]parquetRow, 0, parquetBatch), values: make([]float64, parquetBatch), starts: make([]int64, parquetBatch),
	}
	var err error
	switch {
	case j.cfg.Out == stdout:
		return nil, fmt.Errorf("parquet needs a file or a directory: %w", model.ErrInvalid)
	case strings.HasSuffix(j.cfg.Out, parquetSuffix):
		if p.one, err = j.file(j.cfg.Out, false); err == nil {
			p.begun(&p.one.size)
		}
	default:
		p.dir, err = j.dir(j.c.FS, j.cfg.Out)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *parquetTarget) begun(to *countWriter) {
	p.w = parquet.NewGenericWriter[parquetRow](to, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(parquetRowGroup), parquet.DataPageVersion(1))
}

func (p *parquetTarget) begin(e *migrate.Extent) (err error) {
	if p.dir == nil {
		return nil
	}
	if p.file, err = p.j.c.FS.Create(filepath.Join(p.dir.tmp, e.Day.Dashed()+parquetSuffix)); err != nil {
		return err
	}
	p.count = countWriter{w: p.file}
	p.begun(&p.count)
	return nil
}

func (p *parquetTarget) add(_ context.Context, s *blocks.BuildSeries) error {
	metric := s.Labels.Get(index.MetricName)
	text, err := json.Marshal(s.Labels.DropReserved(func(name string) bool { return name == index.MetricName }))
	if err != nil {
		return err
	}
	others := string(text)
	p.grouped += int64(len(others))
	for i, t := range s.Columns.T {
		n := len(p.rows)
		r := parquetRow{Metric: metric, Labels: others, TS: t}
		p.values[n] = s.Columns.V[i]
		r.Value = &p.values[n]
		if s.Columns.H != nil && s.Columns.H[i] != nil {
			start, v, h, err := model.SplitStart(s.Columns.H[i])
			if err != nil {
				return fmt.Errorf("series %.200s: %w", s.Labels, err)
			}
			if p.values[n] = v; h != nil {
				r.Value, r.Histogram = nil, h
				p.grouped += int64(len(h))
			}
			if start != 0 {
				p.starts[n] = start
				r.Start = &p.starts[n]
			}
		}
		if p.rows = append(p.rows, r); len(p.rows) == parquetBatch || p.grouped >= parquetGroupBytes {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *parquetTarget) flush() error {
	_, err := p.w.Write(p.rows)
	p.rows = p.rows[:0]
	if err == nil && p.grouped >= parquetGroupBytes {
		p.grouped = 0
		err = p.w.Flush() // ends the row group
	}
	return err
}

// closeWriter writes what is left of a file.
func (p *parquetTarget) closeWriter() error {
	if err := p.flush(); err != nil {
		return err
	}
	w := p.w
	p.w = nil
	return w.Close()
}

func (p *parquetTarget) end(context.Context) error {
	if p.dir == nil {
		return nil
	}
	err := p.closeWriter()
	if err == nil {
		err = p.file.Sync()
	}
	err = errors.Join(err, p.file.Close())
	p.file = nil
	p.files++
	p.bytes += p.count.n
	return err
}

func (p *parquetTarget) finish(context.Context) (int, int64, error) {
	if p.dir != nil {
		return p.files, p.bytes, p.dir.finish()
	}
	if err := p.closeWriter(); err != nil {
		return 0, 0, p.one.failed(err)
	}
	n, err := p.one.finish()
	return 1, n, err
}

func (p *parquetTarget) abort() error {
	var errs []error
	if p.file != nil {
		errs = append(errs, p.file.Close())
		p.file = nil
	}
	if p.one != nil {
		errs = append(errs, p.one.abort())
	}
	if p.dir != nil {
		errs = append(errs, p.dir.abort())
	}
	return errors.Join(errs...)
}
