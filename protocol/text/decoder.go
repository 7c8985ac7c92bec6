package text

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/varvedb/varve/model"
)

// decoder turns lines into batches. Its memory is used again.
type decoder struct {
	openMetrics bool
	defaultMs   int64
	eof         bool // # EOF was seen

	c       Chunk
	text    []byte // the lines of a chunk that matter, each with an end, and for OpenMetrics endOfText behind them
	numbers []int  // their numbers
	starts  []int  // where they begin in text
	keys    []byte

	// said is what was said of metrics, as TYPE, HELP and UNIT come in lines of their own; changed those of this chunk.
	said    map[string]*model.Metadata
	changed map[string]bool
	rows    []byte

	known known
}

// maxSaid metrics are remembered for the lines that say more of them.
const maxSaid = 10_000

// decode reads whole lines, of which the last may lack its end. before is the number of the line before.
func (d *decoder) decode(lines []byte, before int) *Chunk {
	b := &d.c.Batch
	d.c = Chunk{Batch: model.Batch{
		Labels: keys, Series: b.Series[:0], Samples: b.Samples[:0], Exemplars: b.Exemplars[:0], Metadata: b.Metadata[:0],
	}, Known: d.c.Known[:0], Bad: d.c.Bad[:0]}
	d.keys, d.rows = d.keys[:0], d.rows[:0]
	d.changed = map[string]bool{}
	d.gather(lines, before)
	if d.openMetrics {
		d.text = append(d.text, endOfText...)
	}
	for at := 0; at < len(d.numbers); {
		at = d.parse(at)
	}
	d.metadata()
	d.c.Samples = len(d.c.Batch.Samples)
	return &d.c
}

// gather keeps the lines that Prometheus' parser is to see: no empty ones, none that begin with white space, and no comments of the text
// format, of which TYPE and HELP are read apart, so that the parser does not write the bounds of buckets anew.
func (d *decoder) gather(lines []byte, before int) {
	d.text, d.numbers, d.starts = d.text[:0], d.numbers[:0], d.starts[:0]
	for number := before + 1; len(lines) > 0; number++ {
		line := lines
		if i := bytes.IndexByte(lines, '\n'); i >= 0 {
			line, lines = lines[:i], lines[i+1:]
		} else {
			lines = nil
		}
		line = bytes.TrimRight(bytes.TrimLeft(line, " \t"), "\r")
		switch {
		case len(line) == 0:
			continue
		case d.openMetrics && isEOF(line):
			d.eof = true
			if len(bytes.TrimSpace(lines)) > 0 {
				d.bad(number+1, errors.New("text after # EOF"))
			}
			return
		case line[0] == '#' && (!d.openMetrics || !bytes.HasPrefix(line, []byte("# "))):
			d.comment(line)
			continue
		}
		d.numbers, d.starts = append(d.numbers, number), append(d.starts, len(d.text))
		d.text = append(append(d.text, line...), '\n')
	}
}

// endOfText is what the parser of OpenMetrics wants to see behind the last line.
const endOfText = "# EOF\n"

func isEOF(line []byte) bool { return string(bytes.TrimRight(line, " \t")) == "# EOF" }

// comment reads a TYPE or HELP of the text format; other comments are passed over.
func (d *decoder) comment(line []byte) {
	if d.openMetrics {
		return
	}
	words := bytes.Fields(line[1:])
	if len(words) < 2 || string(words[0]) != "TYPE" && string(words[0]) != "HELP" {
		return
	}
	// #TYPE without a space is taken as well.
	p := textparse.NewPromParser(append(append([]byte("# "), bytes.TrimLeft(line[1:], " \t")...), '\n'), labels.NewSymbolTable(), false)
	if entry, err := p.Next(); err == nil {
		_ = d.say(p, entry) // what was read is one line
	}
}

// parse reads the lines from the at-th on, to the end or to one that does not parse, and returns which comes next. One line is one entry.
func (d *decoder) parse(at int) (next int) {
	rest := d.text[d.starts[at]:]
	var p textparse.Parser
	if d.openMetrics {
		p = textparse.NewOpenMetricsParser(rest, labels.NewSymbolTable())
	} else {
		p = textparse.NewPromParser(rest, labels.NewSymbolTable(), false)
	}
	for ; at < len(d.numbers); at++ {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			err = errors.New("a zero byte ends it")
		}
		if err == nil && entry == textparse.EntrySeries {
			err = d.series(p, d.line(at))
		} else if err == nil {
			err = d.say(p, entry)
		}
		if err != nil {
			d.bad(d.numbers[at], err)
			if entry == textparse.EntrySeries && errors.Is(err, model.ErrInvalid) {
				continue // the line was read, what it says will not do
			}
			return at + 1
		}
	}
	return at
}

// line is the at-th line, without its end.
func (d *decoder) line(at int) []byte {
	end := len(d.text)
	if at+1 < len(d.starts) {
		end = d.starts[at+1]
	} else if d.openMetrics {
		end -= len(endOfText)
	}
	return d.text[d.starts[at] : end-1]
}

// errOpenQuote: Prometheus' parser reads on behind the end of the line.
var errOpenQuote = errors.New("a quote does not end in its line")

func (d *decoder) bad(number int, err error) {
	d.c.BadLines++
	if len(d.c.Bad) < maxBad {
		d.c.Bad = append(d.c.Bad, model.BadLine{Number: number, Err: err})
	}
}

// series takes the sample at the parser, which is that of the line.
func (d *decoder) series(p textparse.Parser, line []byte) error {
	text, at, v := p.Series()
	var key []byte
	known := d.known.series[string(text)]
	if known != nil {
		key = known.Key
	} else {
		if bytes.IndexByte(text, '\n') >= 0 {
			return errOpenQuote
		}
		var ls labels.Labels
		p.Labels(&ls)
		if name, ok := ls.HasDuplicateLabelNames(); ok {
			return fmt.Errorf("label %q occurs twice: %w", name, model.ErrInvalid)
		}
		start := len(d.keys)
		d.keys = model.AppendPairs(d.keys, ls)
		key = d.keys[start:len(d.keys):len(d.keys)]
		known = d.known.add(text, key)
	}
	t := d.defaultMs
	if at != nil {
		t = *at
		if d.openMetrics {
			if ms, ok := ParseSeconds(sampleTime(line, text)); ok {
				t = ms
			}
		}
	}
	b := &d.c.Batch
	d.c.Known = append(d.c.Known, known)
	b.Series = append(b.Series, model.BatchSeries{Key: key, First: int32(len(b.Samples)), Count: 1})
	b.Samples = append(b.Samples, model.Sample{T: t, V: v})
	var e exemplar.Exemplar
	for p.Exemplar(&e) {
		if !e.HasTs {
			e.Ts = t
		} else if ms, ok := ParseSeconds(exemplarTime(line)); ok {
			e.Ts = ms
		}
		b.Exemplars = append(b.Exemplars, exemplarRow(key, &e))
		e = exemplar.Exemplar{}
	}
	return nil
}

func exemplarRow(key []byte, e *exemplar.Exemplar) model.ExemplarRow {
	row := model.AppendExemplar(model.BeginExemplars(nil), e.Value, e.Labels.Len())
	e.Labels.Range(func(l labels.Label) { row = model.AppendText(model.AppendText(row, l.Name), l.Value) })
	return model.ExemplarRow{Key: key, T: e.Ts, Row: row, Count: 1}
}

// say remembers a TYPE, HELP or UNIT.
func (d *decoder) say(p textparse.Parser, entry textparse.Entry) error {
	var metric, text []byte
	var set func(*model.Metadata)
	switch entry {
	case textparse.EntryType:
		name, typ := p.Type()
		metric, set = name, func(m *model.Metadata) { m.Type = typ }
	case textparse.EntryHelp:
		metric, text = p.Help()
		set = func(m *model.Metadata) { m.Help = string(text) }
	case textparse.EntryUnit:
		metric, text = p.Unit()
		set = func(m *model.Metadata) { m.Unit = string(text) }
	default:
		return nil
	}
	if bytes.IndexByte(metric, '\n') >= 0 {
		return errOpenQuote
	}
	if d.said == nil || len(d.said) >= maxSaid {
		d.said = map[string]*model.Metadata{}
	}
	m := d.said[string(metric)]
	if m == nil {
		m = &model.Metadata{Type: commonmodel.MetricTypeUnknown}
		d.said[string(metric)] = m
	}
	set(m)
	d.changed[string(metric)] = true
	return nil
}

// metadata makes rows of what was said in this chunk.
func (d *decoder) metadata() {
	for name := range d.changed {
		m := d.said[name]
		if m == nil {
			continue // forgotten, there were too many
		}
		start := len(d.rows)
		d.rows = model.AppendMetadata(d.rows, model.MetadataTypeNumber(m.Type), m.Unit, m.Help)
		d.c.Batch.Metadata = append(d.c.Batch.Metadata, model.MetadataRow{Metric: []byte(name), Row: d.rows[start:len(d.rows):len(d.rows)]})
	}
}
