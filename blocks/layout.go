package blocks

import (
	"fmt"
	"io"

	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/blocks/parquet"
	"github.com/varvedb/varve/model"
)

// layoutWriter writes a block up to its Meta.
type layoutWriter interface {
	// Add adds a series with the columns that its format is made of.
	Add(s *BuildSeries) error
	// finish writes what is left, says in m where everything lies, and returns what comes behind Meta and trailer.
	finish(m *Meta) (behind []byte, err error)
	Close()
}

func newLayoutWriter(w io.Writer, m *Meta) (layoutWriter, error) {
	switch m.Format {
	case Native:
		return nativeWriter{native.NewWriter(w)}, nil
	case Parquet, Rollup5m, Rollup1h:
		return parquetWriter{parquet.NewWriter(w, m.Day, m.Format.rows())}, nil
	}
	return nil, fmt.Errorf("format %d: %w", m.Format, model.ErrInvalid)
}

// rows are what the rows of a parquet block are.
func (f Format) rows() parquet.Kind {
	if f.ResolutionMs() > 0 {
		return parquet.Rollups
	}
	return parquet.Samples
}

type nativeWriter struct{ *native.Writer }

func (w nativeWriter) Add(s *BuildSeries) error { return w.Writer.Add(s.Labels, s.Columns) }

func (w nativeWriter) finish(m *Meta) ([]byte, error) {
	l, err := w.Finish()
	if err != nil {
		return nil, err
	}
	m.Chunks, m.Runs = Section(l.Chunks), Section(l.Runs)
	m.SeriesPages, m.Postings = Section(l.SeriesPages), Section(l.Postings)
	m.PostingsHead, m.Directory, m.PostingsFence = l.PostingsHead, l.Directory, l.Fences
	m.Series, m.Samples, m.Histograms = l.Series, l.Samples, l.Histograms
	m.MinT, m.MaxT = l.MinT, l.MaxT
	return nil, nil
}

type parquetWriter struct{ *parquet.Writer }

func (w parquetWriter) Add(s *BuildSeries) error {
	if s.Rollup != nil {
		return w.AddRollup(s.Labels, s.Rollup)
	}
	return w.Writer.Add(s.Labels, s.Columns)
}

func (w parquetWriter) finish(m *Meta) ([]byte, error) {
	l, behind, err := w.Finish()
	if err != nil {
		return nil, err
	}
	m.Chunks = Section(l.Rows)
	m.Runs = Section{Offset: m.Chunks.End()}
	m.SeriesPages, m.Postings = Section(l.SeriesPages), Section(l.Postings)
	m.PostingsHead, m.Directory, m.PostingsFence = l.PostingsHead, l.Directory, l.Fences
	m.Series, m.Samples, m.Histograms = l.Series, l.Samples, l.Histograms
	m.MinT, m.MaxT = l.MinT, l.MaxT
	if len(l.RowGroups) <= maxRowGroups {
		m.RowGroups = l.RowGroups
	}
	return behind, nil
}
