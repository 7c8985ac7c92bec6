package lines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/protocol/influx"
)

// InfluxOptions say how line protocol is read.
type InfluxOptions struct {
	// Mapping says what names become.
	Mapping influx.Mapping
	// Unit is that of times; 0 is a nanosecond, as in exports.
	Unit time.Duration
}

// NewInflux reads files in InfluxDB's line protocol, as `influx_inspect export` and `influxd inspect export-lp` write them. Of several points within a millisecond the last is
// kept.
func NewInflux(paths []string, i InfluxOptions, skips *migrate.Skips, o *FileOptions) *Files {
	return newFiles(influxFormat{i}, paths, skips, o)
}

type influxFormat struct{ o InfluxOptions }

func (i influxFormat) name() string { return fmt.Sprintf("influx 2 %d %#v", i.o.Unit, i.o.Mapping) }

func (i influxFormat) read(ctx context.Context, f *file) error {
	r := influx.NewReader(f.in, &influx.Options{Mapping: &i.o.Mapping, Unit: i.o.Unit, DefaultMs: noTime})
	b := labels.NewScratchBuilder(16)
	timeless := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := f.bad(c.Bad, c.BadLines); err != nil {
			return err
		}
		for k := range c.Batch.Series {
			s := &c.Batch.Series[k]
			sample := c.Batch.Samples[s.First]
			if sample.T == noTime {
				timeless++
				continue
			}
			if err := f.add(0, s.Key, decodeKey(c.Batch.Labels, s.Key, &b), sample.T, sample.V); err != nil {
				return err
			}
		}
	}
	if err := f.timeless(timeless); err != nil {
		return err
	}
	return i.texts(f, r.Texts())
}

// texts notes the fields that have text.
func (influxFormat) texts(f *file, texts []influx.Text) error {
	for _, t := range texts {
		what := fmt.Sprintf("field %.100q of measurement %.100q is text", t.Field, t.Measurement)
		if t.Field == "" {
			what = "more fields are text"
		}
		err := f.s.skips.Add(migrate.Skip{Kind: "samples", Where: f.path, Samples: t.Values, Reason: what})
		if err != nil {
			return err
		}
	}
	return nil
}
