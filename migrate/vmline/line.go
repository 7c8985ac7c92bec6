// Package vmline decodes the lines of JSON of which exports of VictoriaMetrics are made, for the sources that read them in files or from a server.
package vmline

import (
	"errors"
	"fmt"
	"io"
	"math"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/labels"
	promvalue "github.com/prometheus/prometheus/model/value"

	"github.com/varvedb/varve/model"
)

// MaxBytes bounds a line, which may have all that is exported of a series: half a million samples or more.
const MaxBytes = 32 << 20

// Null is what null stands for: VictoriaMetrics keeps no other NaN than the markers that say that a series has ended, and writes them so.
var Null = math.Float64frombits(promvalue.StaleNaN)

// Decoder decodes lines one after another. For one goroutine.
type Decoder struct {
	it *jsoniter.Iterator
	b  labels.ScratchBuilder
}

// NewDecoder returns a decoder.
func NewDecoder() *Decoder {
	return &Decoder{it: jsoniter.ParseBytes(jsoniter.ConfigCompatibleWithStandardLibrary, nil), b: labels.NewScratchBuilder(16)}
}

// Line decodes a line, which is one object:
//
//	{"metric":{"__name__":"up","job":"a"},"values":[1,null,"Infinity"],"timestamps":[1700000000000,…]}
//
// A value that is null is Null. Versions before 1.80 or so write infinity without quotes, which is no JSON and is read all the same. Samples replace what c had, in the order of the line, which may be any. Errors wrap model.ErrInvalid.
func (d *Decoder) Line(b []byte, c *model.Columns) (labels.Labels, error) {
	ls, err := d.line(b, c)
	if err == nil {
		return ls, nil
	}
	if quoted, found := quoteBare(b); found {
		return d.line(quoted, c)
	}
	return ls, err
}

func (d *Decoder) line(b []byte, c *model.Columns) (labels.Labels, error) {
	c.Reset()
	d.b.Reset()
	it := d.it.ResetBytes(b)
	it.Error = nil
	it.ReadObjectCB(func(it *jsoniter.Iterator, field string) bool {
		switch field {
		case "metric":
			d.b.Reset()
			return it.ReadObjectCB(d.label)
		case "values":
			c.V = c.V[:0]
			return it.ReadArrayCB(func(it *jsoniter.Iterator) bool {
				c.V = append(c.V, value(it))
				return it.Error == nil
			})
		case "timestamps":
			c.T = c.T[:0]
			return it.ReadArrayCB(func(it *jsoniter.Iterator) bool {
				c.T = append(c.T, it.ReadInt64())
				return it.Error == nil
			})
		}
		it.Skip()
		return it.Error == nil
	})
	err := it.Error
	if err == nil && (it.WhatIsNext() != jsoniter.InvalidValue || !errors.Is(it.Error, io.EOF)) {
		err = errors.New("something is behind the object")
	}
	if err == nil && len(c.V) != len(c.T) {
		err = fmt.Errorf("it has %d values and %d timestamps", len(c.V), len(c.T))
	}
	if err != nil {
		c.Reset()
		return labels.EmptyLabels(), fmt.Errorf("%w: %w", model.ErrInvalid, err)
	}
	d.b.Sort()
	return d.b.Labels(), nil
}

func (d *Decoder) label(it *jsoniter.Iterator, name string) bool {
	if v := it.ReadString(); v != "" { // a label without a value is none
		d.b.Add(name, v)
	}
	return it.Error == nil
}

// value is a number, or what stands for one that JSON has no form for.
func value(it *jsoniter.Iterator) float64 {
	switch it.WhatIsNext() {
	case jsoniter.NilValue:
		it.ReadNil()
		return Null
	case jsoniter.StringValue:
		switch s := it.ReadString(); s {
		case "NaN":
			return math.NaN()
		case "Infinity", "+Infinity", "Inf", "+Inf":
			return math.Inf(1)
		case "-Infinity", "-Inf":
			return math.Inf(-1)
		default:
			it.ReportError("value", fmt.Sprintf("%.40q is no number", s))
			return 0
		}
	}
	return it.ReadFloat64()
}
