package blocks

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"iter"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// Params name the block that Build makes.
type Params struct {
	Tenant     string
	Day        model.Day
	Writer     string
	Generation uint64
	Attempt    uint32
	CreatedMs  int64
	// Format is the layout; 0 is Native.
	Format Format
	// ID is the block's id; "" takes ID(Writer, Generation, Tenant, Day, Attempt).
	ID string
	// Replaces, Tombstones and Sources are for merges; MergeParams sets them.
	Replaces, Tombstones []string
	Sources              []Source
}

// BuildSeries is one series with all its samples, or in a rollup with all its windows. The columns may be used again once Build asks for the next
// series; labels are immutable as everywhere.
type BuildSeries struct {
	Labels  labels.Labels
	Columns *model.Columns
	// Rollup are the windows, in place of Columns, for a block of Rollup5m or Rollup1h.
	Rollup *model.Rollup
}

// Build writes a block of the series to w and returns its Meta. The series come in the order of index.Less (metric name, then
// labels.Compare), each once; their timestamps ascend strictly and lie in the day. Series without samples are left out; a
// block without samples is an error that wraps model.ErrInvalid, as is any fault of the input.
//
// It streams: memory holds the index, and one page of chunks or (parquet) some ten MiB of compressed row groups. The same input gives the same bytes. After an
// error what was written is rubbish.
func Build(ctx context.Context, p *Params, series iter.Seq2[BuildSeries, error], w io.Writer) (*Meta, error) {
	if err := tenant.Check(p.Tenant); err != nil {
		return nil, fmt.Errorf("build block: %w", err)
	}
	m := &Meta{
		ID: p.ID, Format: max(p.Format, Native), Tenant: p.Tenant, Day: p.Day,
		Writer: p.Writer, Generation: p.Generation, Attempt: p.Attempt, CreatedMs: p.CreatedMs,
		Replaces: p.Replaces, Tombstones: p.Tombstones, Sources: p.Sources,
	}
	if m.ID != "" && tenant.Check(m.ID) != nil {
		return nil, fmt.Errorf("build block: id %.80q: %w", m.ID, model.ErrInvalid)
	}
	if m.ID == "" {
		m.ID = ID(p.Writer, p.Generation, p.Tenant, p.Day, p.Attempt)
	}
	out := &sumWriter{w: w}
	lw, err := newLayoutWriter(out, m)
	if err != nil {
		return nil, fmt.Errorf("build block %s: %w", m.ID, err)
	}
	defer lw.Close()
	for s, err := range series {
		if err == nil {
			err = addSeries(lw, m, &s)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("build block %s: %w", m.ID, err)
		}
	}
	behind, err := lw.finish(m)
	if err != nil {
		return nil, fmt.Errorf("build block %s: %w", m.ID, err)
	}
	if err := m.check(); err != nil {
		panic("blocks: built a block that its reader would refuse: " + err.Error())
	}
	if err := writeFooter(out, m, behind); err != nil {
		return nil, fmt.Errorf("build block %s: write footer: %w", m.ID, err)
	}
	return m, nil
}

func addSeries(w layoutWriter, m *Meta, s *BuildSeries) error {
	t, err := s.times(m.Format)
	if err != nil || len(t) == 0 {
		return err
	}
	if r := m.Day.Range(); !r.Contains(t[0]) || !r.Contains(t[len(t)-1]) {
		return fmt.Errorf("series %.200s: samples from %d to %d are not of day %s: %w", s.Labels, t[0], t[len(t)-1], m.Day, model.ErrInvalid)
	}
	return w.Add(s)
}

// times are the timestamps of the samples, or of the windows, which must be those of the format.
func (s *BuildSeries) times(f Format) ([]int64, error) {
	resolution := f.ResolutionMs()
	if (resolution > 0) != (s.Rollup != nil) {
		return nil, fmt.Errorf("series %.200s: samples or windows, and the format %d is of the other: %w", s.Labels, f, model.ErrInvalid)
	}
	if s.Rollup == nil {
		return s.Columns.T, nil
	}
	for _, at := range s.Rollup.T {
		if model.WindowEnd(at, resolution) != at {
			return nil, fmt.Errorf("series %.200s: no window of %d ms ends at %d: %w", s.Labels, resolution, at, model.ErrInvalid)
		}
	}
	return s.Rollup.T, nil
}

// sumWriter counts and sums what goes through it.
type sumWriter struct {
	w   io.Writer
	n   int64
	crc uint32
}

func (w *sumWriter) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	w.crc = crc32.Update(w.crc, castagnoli(), b[:n])
	w.n += int64(n)
	return n, err
}

// writeFooter writes Meta and trailer, then what the format has behind them, and sets m.Size and m.CRC.
func writeFooter(w *sumWriter, m *Meta, behind []byte) error {
	m.Size, m.CRC = 0, 0
	meta := AppendMeta(nil, m)
	if _, err := w.Write(binary.LittleEndian.AppendUint32(meta, uint32(len(meta)))); err != nil {
		return err
	}
	m.CRC = crc32.Update(w.crc, castagnoli(), behind)
	end := append(binary.LittleEndian.AppendUint32(nil, m.CRC), trailerMagic...)
	_, err := w.Write(append(end, behind...))
	m.Size = w.n
	return err
}
