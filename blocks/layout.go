package blocks

import (
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/blocks/parquet"
	"github.com/varvedb/varve/model"
)

// layoutWriter writes a block up to its Meta.
type layoutWriter interface {
	Add(ls labels.Labels, c *model.Columns) error
	// finish writes what is left, says in m where everything lies, and returns what comes behind Meta and trailer.
	finish(m *Meta) (behind []byte, err error)
	Close()
}

func newLayoutWriter(w io.Writer, m *Meta) (layoutWriter, error) {
	switch m.Format {
	case Native:
		return nativeWriter{native.NewWriter(w)}, nil
	case Parquet:
		return parquetWriter{parquet.NewWriter(w, m.Day)}, nil
	}
	return nil, fmt.Errorf("format %d: %w", m.Format, model.ErrInvalid)
}

type nativeWriter struct{ *native.Writer }

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
