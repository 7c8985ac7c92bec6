package lines

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/vmline"
	"github.com/varvedb/varve/model"
)

// NewVictoria reads files as VictoriaMetrics' /api/v1/export writes them: lines of JSON, of one series each and of any length.
func NewVictoria(paths []string, skips *migrate.Skips, o *FileOptions) *Files {
	return newFiles(victoriaFormat{shortLine}, paths, skips, o)
}

// victoriaFormat decodes lines of up to short bytes in memory.
type victoriaFormat struct{ short int }

// shortLine is the length of some hundred thousand samples.
const shortLine = 4 << 20

func (victoriaFormat) name() string { return "victoria 1" }

func (v victoriaFormat) read(ctx context.Context, f *file) (err error) {
	d, c := vmline.NewDecoder(), &model.Columns{}
	in := bufio.NewReaderSize(f.in, v.short)
	var long *longLine
	defer func() {
		if long != nil {
			err = errors.Join(err, long.close())
		}
	}()
	for n := int64(1); ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if endless(in) {
			if long == nil {
				long = &longLine{ctx: ctx, in: in, d: d, values: spool{parent: f.s.opts.TempDir}, times: spool{parent: f.s.opts.TempDir}}
			}
			if err := v.long(f, n, long); err != nil {
				return err
			}
			continue
		}
		b, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		last := err != nil
		if b = bytes.TrimSpace(b); len(b) > 0 {
			ls, err := d.Line(b, c)
			if err := v.line(f, n, ls, err, func(take func(*model.Columns) error) error { return take(c) }); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// endless reports whether the next line is longer than the buffer.
func endless(in *bufio.Reader) bool {
	if b, err := in.Peek(in.Buffered()); err == nil && bytes.IndexByte(b, '\n') >= 0 {
		return false
	}
	b, err := in.Peek(in.Size())
	return err == nil && bytes.IndexByte(b, '\n') < 0
}

func (v victoriaFormat) long(f *file, n int64, l *longLine) error {
	ls, err := l.read()
	if err != nil && !errors.Is(err, model.ErrInvalid) {
		return err
	}
	return v.line(f, n, ls, err, l.columns)
}

// line takes the samples of a line, or names what is wrong with it.
func (victoriaFormat) line(f *file, n int64, ls labels.Labels, err error, columns func(func(*model.Columns) error) error) error {
	if err != nil {
		return f.skip(n, 0, err.Error())
	}
	key := ls.Bytes(nil)
	return columns(func(c *model.Columns) error {
		return f.addColumns(n, key, func() (labels.Labels, error) { return ls, nil }, c)
	})
}
