package lines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// NewCSV reads files of CSV. An empty value is no sample, and an empty label is none.
func NewCSV(paths []string, c CSVOptions, skips *migrate.Skips, o *FileOptions) *Files {
	if c.Delimiter == 0 {
		c.Delimiter = ','
	}
	for _, column := range c.Columns {
		c.Header = c.Header || column.Number == 0
	}
	return newFiles(csvFormat{c}, paths, skips, o)
}

type csvFormat struct{ o CSVOptions }

func (c csvFormat) name() string {
	var b strings.Builder
	fmt.Fprintf(&b, "csv 2 %d %t %q", c.o.Delimiter, c.o.Header, c.o.Labels)
	for _, column := range c.o.Columns {
		fmt.Fprintf(&b, " %d %q %q %q", column.Number, column.Header, column.Kind, column.Name)
	}
	return b.String()
}

func (c csvFormat) read(ctx context.Context, f *file) error {
	in := newCSVRows(f.in, c.o.Delimiter)
	t := &csvTable{o: &c.o, columns: c.o.Columns, b: labels.NewScratchBuilder(16)}
	headed := !c.o.Header
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, model.ErrInvalid):
			err = f.skip(line, 0, err.Error())
		case err != nil:
		case !headed:
			headed = true
			err = t.header(row)
		default:
			err = t.row(f, line, row)
		}
		if err != nil {
			return err
		}
	}
}

// csvTable makes samples of rows.
type csvTable struct {
	o       *CSVOptions
	columns []CSVColumn
	b       labels.ScratchBuilder
	key     []byte
	named   []string // labels that a row has of its own
}

// header finds the columns that are chosen by their names.
func (t *csvTable) header(row []string) error {
	t.columns = append([]CSVColumn(nil), t.columns...)
	for i := range t.columns {
		c := &t.columns[i]
		for k := 0; k < len(row) && c.Number == 0; k++ {
			// A byte order mark is none of the name's.
			if strings.TrimSpace(strings.TrimPrefix(row[k], "\ufeff")) == c.Header {
				c.Number = k + 1
			}
		}
		if c.Number == 0 {
			return fmt.Errorf("no column is named %q: %w", c.Header, model.ErrInvalid)
		}
	}
	return nil
}

// row takes the samples of a row, all or none.
func (t *csvTable) row(f *file, line int64, row []string) error {
	at := int64(0)
	t.key, t.named = t.key[:0], t.named[:0]
	metric := ""
	for i := range t.columns {
		c := &t.columns[i]
		if c.Number > len(row) {
			return f.skip(line, t.values(row), fmt.Sprintf("it has %d columns, but column %d is a %s", len(row), c.Number, c.Kind))
		}
		value := strings.TrimSpace(row[c.Number-1])
		var err error
		switch {
		case c.Kind == "time":
			at, err = c.read(value)
		case value == "":
		case c.Kind == "metric":
			_, err = strconv.ParseFloat(value, 64)
		case c.Name == commonmodel.MetricNameLabel:
			metric = value
		default:
			t.key = model.AppendText(model.AppendText(t.key, c.Name), value)
			t.named = append(t.named, c.Name)
		}
		if err != nil {
			return f.skip(line, t.values(row), fmt.Sprintf("column %d: %s", c.Number, err))
		}
	}
	t.constants()
	shared := len(t.key)
	for i := range t.columns {
		c := &t.columns[i]
		value := strings.TrimSpace(row[c.Number-1])
		if c.Kind != "metric" || value == "" {
			continue
		}
		name := c.Name
		if metric != "" {
			name = metric
		}
		v, _ := strconv.ParseFloat(value, 64) // it was tried above
		t.key = model.AppendText(model.AppendText(t.key[:shared], commonmodel.MetricNameLabel), name)
		if err := f.add(line, t.key, decodeKey(model.PairKeys("csv"), t.key, &t.b), at, v); err != nil {
			return err
		}
	}
	return nil
}

// values is how many samples the row would have.
func (t *csvTable) values(row []string) (n int64) {
	for i := range t.columns {
		if c := &t.columns[i]; c.Kind == "metric" && c.Number <= len(row) && strings.TrimSpace(row[c.Number-1]) != "" {
			n++
		}
	}
	return n
}

// constants adds the labels that all series have, unless the row has its own.
func (t *csvTable) constants() {
next:
	for i := 0; i+1 < len(t.o.Labels); i += 2 {
		for _, name := range t.named {
			if name == t.o.Labels[i] {
				continue next
			}
		}
		t.key = model.AppendText(model.AppendText(t.key, t.o.Labels[i]), t.o.Labels[i+1])
	}
}
