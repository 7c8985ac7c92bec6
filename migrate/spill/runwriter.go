package spill

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/bits"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// runWriter writes a run, section by section.
type runWriter struct {
	r *run
	w countWriter
	z *s2.Writer
	b []byte
	// stopped is that of the sorter.
	stopped func() error
	// Of the section at hand.
	begin, series int64
}

func (s *Sorter) newRunWriter(level int) (*runWriter, error) {
	f, err := s.files.create()
	if err != nil {
		return nil, err
	}
	w := &runWriter{stopped: s.stopped, r: &run{f: f, days: map[model.Day]section{}, level: level}, w: countWriter{w: f}}
	w.z = s2.NewWriter(&w.w, s2.WriterBlockSize(runBlock), s2.WriterConcurrency(1))
	return w, nil
}

// add adds the samples [from, to) of a series to the section.
func (w *runWriter) add(ls labels.Labels, c *model.Columns, from, to int) error {
	w.b = appendRecord(w.b[:0], ls, c, from, to)
	w.series++
	_, err := w.z.Write(w.b)
	return err
}

// end ends the section, which was that of the day.
func (w *runWriter) end(day model.Day) error {
	if err := w.z.Close(); err != nil {
		return err
	}
	w.r.days[day] = section{w.begin, w.w.n - w.begin, w.series}
	w.begin, w.series = w.w.n, 0
	w.z.Reset(&w.w)
	return nil
}

// done returns the run, or nothing if there was an error.
func (w *runWriter) done(err error) (*run, error) {
	if err != nil {
		return nil, errors.Join(err, w.r.remove())
	}
	return w.r, nil
}

// writeRun writes the series, which are in order, as are their samples.
func (s *Sorter) writeRun(all []*Open) (*run, error) {
	w, err := s.newRunWriter(0)
	if err != nil {
		return nil, err
	}
	return w.done(w.gathered(all))
}

func (w *runWriter) gathered(all []*Open) error {
	var days []model.Day
	seen := map[model.Day]bool{}
	for _, o := range all {
		for i := 0; i < len(o.columns.T); {
			d := model.DayOf(o.columns.T[i])
			if !seen[d] {
				seen[d] = true
				days = append(days, d)
			}
			last := d.Range().MaxMs
			for i < len(o.columns.T) && o.columns.T[i] <= last {
				i++
			}
		}
	}
	slices.Sort(days)
	// at is how far each series was written.
	at := make([]int, len(all))
	for _, day := range days {
		last := day.Range().MaxMs
		for i, o := range all {
			from := at[i]
			for at[i] < o.columns.Len() && o.columns.T[at[i]] <= last {
				at[i]++
			}
			if from == at[i] {
				continue
			}
			if err := w.stopped(); err != nil {
				return err
			}
			if err := w.add(o.labels, &o.columns, from, at[i]); err != nil {
				return err
			}
		}
		if err := w.end(day); err != nil {
			return err
		}
	}
	return nil
}

// countWriter counts what goes through it.
type countWriter struct {
	w io.Writer
	n int64
}

func (w *countWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.n += int64(n)
	return n, err
}

// appendRecord appends the samples [from, to) of a series.
func appendRecord(b []byte, ls labels.Labels, c *model.Columns, from, to int) []byte {
	size := 0
	ls.Range(func(l labels.Label) { size += textLen(l.Name) + textLen(l.Value) })
	b = binary.AppendUvarint(b, uint64(size))
	ls.Range(func(l labels.Label) { b = model.AppendText(model.AppendText(b, l.Name), l.Value) })
	b = binary.AppendUvarint(b, uint64(to-from))
	rich := byte(0)
	if c.H != nil {
		rich = 1
	}
	b = append(b, rich)
	before := int64(0)
	for _, t := range c.T[from:to] {
		b = binary.AppendVarint(b, t-before)
		before = t
	}
	for _, v := range c.V[from:to] {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	if rich == 0 {
		return b
	}
	for _, h := range c.H[from:to] {
		if h == nil {
			b = append(b, 0)
			continue
		}
		b = append(binary.AppendUvarint(b, uint64(len(h))+1), h...)
	}
	return b
}

// textLen is the length of what model.AppendText appends.
func textLen(s string) int { return (bits.Len64(uint64(len(s))|1)+6)/7 + len(s) }
