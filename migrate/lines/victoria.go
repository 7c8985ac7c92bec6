package lines

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/vmline"
	"github.com/varvedb/varve/model"
)

// NewVictoria reads files as VictoriaMetrics' /api/v1/export writes them: lines of JSON, of one series each.
func NewVictoria(paths []string, skips *migrate.Skips, o *FileOptions) *Files {
	return newFiles(victoriaFormat{}, paths, skips, o)
}

type victoriaFormat struct{}

func (victoriaFormat) name() string { return "victoria 1" }

func (victoriaFormat) read(ctx context.Context, f *file) error {
	d, c := vmline.NewDecoder(), &model.Columns{}
	in := bufio.NewScanner(f.in)
	in.Buffer(make([]byte, 0, 64<<10), vmline.MaxBytes)
	for n := int64(1); in.Scan(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := bytes.TrimSpace(in.Bytes())
		if len(b) == 0 {
			continue
		}
		ls, err := d.Line(b, c)
		if err != nil {
			if err := f.skip(n, 0, err.Error()); err != nil {
				return err
			}
			continue
		}
		key := ls.Bytes(nil)
		for i, t := range c.T {
			if err := f.add(n, key, func() (labels.Labels, error) { return ls, nil }, t, c.V[i]); err != nil {
				return err
			}
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return f.skip(0, 0, fmt.Sprintf("a line is longer than %d bytes; it and what is behind it is left out", vmline.MaxBytes))
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
