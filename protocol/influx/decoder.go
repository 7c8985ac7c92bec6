package influx

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/varvedb/varve/model"
)

// decoder turns lines into batches. Its memory is used again.
type decoder struct {
	m         Mapping
	unit      time.Duration // of times
	defaultMs int64

	// database and policy are those of the next line, ddl says that it is none.
	database, policy string
	ddl              bool
	// faults are strings without an end, plain how many bytes are read without heed to them.
	faults, plain int

	c       Chunk
	keys    []byte
	scratch []byte

	// The line at hand.
	measurement, tags []byte
	fields            []field
	names             []byte
	hasDatabase       bool
	hasPolicy         bool

	texts map[string]*int64
}

// field is a field of a line: its name is names[from:to].
type field struct {
	from, to int
	v        float64
}

// maxTexts fields with text are told apart.
const maxTexts = 1000

// keys are those of this package's batches, in the order of the line.
const keys = model.PairKeys("influx")

func (d *decoder) reset() {
	b := &d.c.Batch
	d.c = Chunk{Batch: model.Batch{Labels: keys, Series: b.Series[:0], Samples: b.Samples[:0]}, Bad: d.c.Bad[:0]}
	d.keys = d.keys[:0]
}

func (d *decoder) bad(number int, err error) {
	d.c.BadLines++
	if len(d.c.Bad) < maxBad {
		d.c.Bad = append(d.c.Bad, model.BadLine{Number: number, Err: err})
	}
}

// line takes the line at which p is, all of it or nothing.
func (d *decoder) line(p *lineprotocol.Decoder) error {
	measurement, err := p.Measurement()
	if err != nil {
		return err
	}
	d.measurement = append(d.measurement[:0], measurement...)
	if err := d.readTags(p); err != nil {
		return err
	}
	all, texts, err := d.readFields(p)
	if err != nil {
		return err
	}
	at, err := d.readTime(p)
	if err != nil {
		return err
	}
	for _, f := range d.fields {
		if f.to < 0 {
			continue
		}
		d.add(f, all, at)
	}
	if texts > 0 {
		d.countTexts()
	}
	return nil
}

func (d *decoder) readTags(p *lineprotocol.Decoder) error {
	d.tags, d.hasDatabase, d.hasPolicy = d.tags[:0], false, false
	for {
		name, value, err := p.NextTag()
		if err != nil || name == nil {
			return err
		}
		d.hasDatabase = d.hasDatabase || string(name) == d.m.DatabaseLabel
		d.hasPolicy = d.hasPolicy || string(name) == d.m.PolicyLabel
		d.tags, d.scratch = d.m.appendLabel(d.tags, name, value, d.scratch)
	}
}

// readFields reads the fields, of which there are all, and texts with text, which get a negative end.
func (d *decoder) readFields(p *lineprotocol.Decoder) (all, texts int, err error) {
	d.fields, d.names = d.fields[:0], d.names[:0]
	for {
		name, kind, value, err := p.NextFieldBytes()
		if err != nil {
			return 0, 0, err
		}
		if name == nil {
			return all, texts, nil
		}
		all++
		f := field{from: len(d.names)}
		d.names = append(d.names, name...)
		if bytes.IndexByte(name, '"') >= 0 { // InfluxDB, and with it its exports, writes one as \"
			d.names = append(d.names[:f.from], bytes.ReplaceAll(name, []byte(`\"`), []byte{'"'})...)
		}
		f.to = len(d.names)
		if kind == lineprotocol.String {
			f.to = -f.to
			texts++
		} else if f.v, err = number(kind, value); err != nil {
			return 0, 0, fmt.Errorf("field %.80q: %w: %w", d.names[f.from:f.to], err, model.ErrInvalid)
		}
		d.fields = append(d.fields, f)
	}
}

// number is a value as a sample has it.
func number(kind lineprotocol.ValueKind, value []byte) (float64, error) {
	v, err := lineprotocol.NewValueFromBytes(kind, value)
	if err != nil {
		return 0, err
	}
	switch kind {
	case lineprotocol.Int:
		return float64(v.IntV()), nil
	case lineprotocol.Uint:
		return float64(v.UintV()), nil
	case lineprotocol.Bool:
		if v.BoolV() {
			return 1, nil
		}
		return 0, nil
	default:
		return v.FloatV(), nil
	}
}

// readTime reads the time, in milliseconds, rounded down.
func (d *decoder) readTime(p *lineprotocol.Decoder) (int64, error) {
	b, err := p.TimeBytes()
	if err != nil || b == nil {
		return d.defaultMs, err
	}
	t, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("time %.40q is no number of 64 bits: %w", b, model.ErrInvalid)
	}
	if d.unit < time.Millisecond {
		per := int64(time.Millisecond / d.unit)
		ms := t / per
		if t%per < 0 {
			ms--
		}
		return ms, nil
	}
	per := int64(d.unit / time.Millisecond)
	if t > math.MaxInt64/per || t < math.MinInt64/per {
		return 0, fmt.Errorf("time %d is beyond all years: %w", t, model.ErrInvalid)
	}
	return t * per, nil
}

// add adds a sample.
func (d *decoder) add(f field, all int, at int64) {
	start := len(d.keys)
	d.keys, d.scratch = d.m.appendMetric(d.keys, d.measurement, d.names[f.from:f.to], d.scratch, all)
	d.keys = append(d.keys, d.tags...)
	d.keys = d.appendContext(d.keys)
	b := &d.c.Batch
	b.Series = append(b.Series, model.BatchSeries{Key: d.keys[start:len(d.keys):len(d.keys)], First: int32(len(b.Samples)), Count: 1})
	b.Samples = append(b.Samples, model.Sample{T: at, V: f.v})
}

// appendContext appends the labels of database and policy.
func (d *decoder) appendContext(key []byte) []byte {
	if d.m.DatabaseLabel != "" && d.database != "" && !d.hasDatabase {
		key = model.AppendText(model.AppendText(key, d.m.DatabaseLabel), d.database)
	}
	if p := d.m.policy(d.policy); d.m.PolicyLabel != "" && p != "" && !d.hasPolicy {
		key = model.AppendText(model.AppendText(key, d.m.PolicyLabel), p)
	}
	return key
}

// countTexts counts the fields of the line that have text.
func (d *decoder) countTexts() {
	if d.texts == nil {
		d.texts = map[string]*int64{}
	}
	for _, f := range d.fields {
		if f.to >= 0 {
			continue
		}
		d.scratch = append(append(append(d.scratch[:0], d.measurement...), 0), d.names[f.from:-f.to]...)
		n := d.texts[string(d.scratch)]
		if n == nil {
			if len(d.texts) >= maxTexts {
				d.scratch = d.scratch[:0]
				n = d.texts[""]
			}
			if n == nil {
				n = new(int64)
				d.texts[string(d.scratch)] = n
			}
		}
		*n++
	}
}
