package export

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// openMetrics writes OpenMetrics 1.0 text. There all that is of a metric, and of a metric family, stands together, and days come one after another here: so everything is
// sorted first, on local disk.
//
// The key of a record is the family, the labels, the day, and whether it has exemplars or samples. Its payload is the samples, or the rows of exemplars.
type openMetrics struct {
	j        *job
	out      *fileOutput
	sorter   *sorter
	metadata map[string]model.Metadata
	day      model.Day
	key      []byte
	payload  []byte
}

func newOpenMetrics(j *job) (target, error) {
	out, err := j.file(j.cfg.Out, true)
	if err != nil {
		return nil, err
	}
	return &openMetrics{j: j, out: out, sorter: newSorter(j.cfg.TempDir, j.cfg.SortBytes)}, nil
}

// The parts of a series, in the order in which they are needed.
const (
	partExemplars = 0
	partSamples   = 1
)

func (o *openMetrics) begin(e *migrate.Extent) error {
	o.day = e.Day
	return nil
}

// load gets the metadata once: families depend on it.
func (o *openMetrics) load(ctx context.Context) (err error) {
	if o.metadata != nil {
		return nil
	}
	o.metadata = map[string]model.Metadata{}
	if o.j.c.Metadata == nil {
		return nil
	}
	found, err := o.j.c.Metadata(ctx)
	if err != nil {
		return fmt.Errorf("read metadata: %w", err)
	}
	for metric, m := range found {
		o.metadata[metric] = m
	}
	return nil
}

func (o *openMetrics) add(ctx context.Context, s *blocks.BuildSeries) error {
	if s.Labels.Get(index.MetricName) == "" {
		o.j.report.Left[LeftNameless] += int64(s.Columns.Len())
		return nil
	}
	if err := o.load(ctx); err != nil {
		return err
	}
	o.payload = o.payload[:0]
	last := int64(0)
	for i := range s.Columns.T {
		x, err := at(s.Columns, i)
		if err != nil {
			return err
		}
		if !x.plain(o.j.report.Left) {
			continue
		}
		o.payload = binary.AppendVarint(o.payload, x.t-last)
		o.payload = binary.LittleEndian.AppendUint64(o.payload, math.Float64bits(x.value))
		last = x.t
	}
	if len(o.payload) == 0 {
		return nil
	}
	return o.put(s.Labels, partSamples)
}

// addExemplars implements exemplarTarget.
func (o *openMetrics) addExemplars(ctx context.Context, s *blocks.BuildSeries) error {
	of, ok := model.ExemplarsOf(s.Labels)
	if !ok {
		return nil
	}
	if err := o.load(ctx); err != nil {
		return err
	}
	o.payload = o.payload[:0]
	for i, row := range s.Columns.H {
		o.payload = binary.AppendVarint(o.payload, s.Columns.T[i])
		o.payload = model.AppendText(o.payload, row)
	}
	return o.put(of, partExemplars)
}

func (o *openMetrics) put(ls labels.Labels, part byte) error {
	metric := ls.Get(index.MetricName)
	family, _ := familyOf(metric, o.metadata)
	o.key = appendKeyText(o.key[:0], family)
	o.key = appendKeyText(o.key, metric)
	ls.Range(func(l labels.Label) {
		o.key = appendKeyText(appendKeyText(o.key, l.Name), l.Value)
	})
	// An empty name ends the labels.
	o.key = appendKeyText(o.key, "")
	o.key = append(binary.BigEndian.AppendUint32(o.key, uint32(o.day)^1<<31), part)
	return o.sorter.add(o.key, o.payload)
}

func (o *openMetrics) end(context.Context) error { return nil }

// finish writes what was sorted.
func (o *openMetrics) finish(ctx context.Context) (int, int64, error) {
	w := &familyWriter{o: o}
	n := 0
	err := o.sorter.each(func(key, payload []byte) error {
		if n++; n%progressEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return w.record(key, payload)
	})
	if err != nil {
		return 0, 0, err
	}
	w.dropExemplars()
	if _, err := o.out.w.WriteString("# EOF\n"); err != nil {
		return 0, 0, o.out.failed(err)
	}
	size, err := o.out.finish()
	if err != nil {
		return 0, 0, err
	}
	return 1, size, o.sorter.close()
}

func (o *openMetrics) abort() error { return errors.Join(o.out.abort(), o.sorter.close()) }

// familyWriter writes records in the order of their keys.
type familyWriter struct {
	o      *openMetrics
	series []byte // the key of the series at hand, and its text
	text   []byte
	family string
	begun  bool
	// exemplars of the series, ascending, and whether its samples may have any.
	exemplars []model.Exemplar
	may       bool
	line      []byte
}

func (w *familyWriter) record(key, payload []byte) error {
	series, part := key[:len(key)-5], key[len(key)-1]
	if !w.begun || string(series) != string(w.series) {
		w.dropExemplars()
		if err := w.beginSeries(series); err != nil {
			return err
		}
	}
	if part == partExemplars {
		return w.hold(payload)
	}
	return w.samples(payload)
}

func (w *familyWriter) beginSeries(key []byte) error {
	w.series = append(w.series[:0], key...)
	family, rest := cutKeyText(key)
	name, rest := cutKeyText(rest)
	metric := string(name)
	if !w.begun || string(family) != w.family {
		w.begun, w.family = true, string(family)
		if err := w.head(w.family, metric); err != nil {
			return err
		}
	}
	ls := labels.NewScratchBuilder(8)
	for {
		var name, value []byte
		if name, rest = cutKeyText(rest); len(name) == 0 {
			break
		}
		value, rest = cutKeyText(rest)
		ls.Add(string(name), string(value))
	}
	w.text = appendSeriesText(w.text[:0], ls.Labels())
	_, m := familyOf(metric, w.o.metadata)
	w.may = exemplarsMayBe(metric, m)
	return nil
}

// hold keeps the exemplars of a series until its samples come.
func (w *familyWriter) hold(payload []byte) error {
	for len(payload) > 0 {
		t, n := binary.Varint(payload)
		size, k := binary.Uvarint(payload[n:])
		row := payload[n+k : n+k+int(size)]
		payload = payload[n+k+int(size):]
		var err error
		if w.exemplars, err = model.DecodeExemplars(w.exemplars, t, row); err != nil {
			return err
		}
	}
	return nil
}

// samples writes a line for each sample, with the newest exemplar that is not newer than it.
func (w *familyWriter) samples(payload []byte) error {
	t := int64(0)
	for len(payload) > 0 {
		delta, n := binary.Varint(payload)
		t += delta
		v := math.Float64frombits(binary.LittleEndian.Uint64(payload[n:]))
		payload = payload[n+8:]
		b := append(append(w.line[:0], w.text...), ' ')
		b = appendTextValue(b, v)
		b = appendSeconds(append(b, ' '), t)
		if e := w.exemplar(t); e != nil {
			b = appendExemplarText(b, e)
		}
		w.line = append(b, '\n')
		if _, err := w.o.out.w.Write(w.line); err != nil {
			return w.o.out.failed(err)
		}
	}
	return nil
}

// exemplar returns the newest exemplar up to t; a line has room for one, and those before it are left out.
func (w *familyWriter) exemplar(t int64) *model.Exemplar {
	n, _ := slices.BinarySearchFunc(w.exemplars, t+1, func(e model.Exemplar, t int64) int {
		if e.T < t {
			return -1
		}
		return 1
	})
	if n == 0 {
		return nil
	}
	e := &w.exemplars[n-1]
	w.exemplars = w.exemplars[n:]
	w.o.j.report.Left[LeftExemplars] += int64(n - 1)
	if !w.may || runes(e.Labels) > maxExemplarRunes {
		w.o.j.report.Left[LeftExemplars]++
		return nil
	}
	return e
}

// dropExemplars counts those that no sample followed.
func (w *familyWriter) dropExemplars() {
	if n := len(w.exemplars); n > 0 {
		w.o.j.report.Left[LeftExemplars] += int64(n)
		w.exemplars = w.exemplars[:0]
	}
}
