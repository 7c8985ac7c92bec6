package lines

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate/vmline"
	"github.com/varvedb/varve/model"
)

// longLine reads a line of any length: years of a series may be one of hundreds of MB. As timestamps come behind the values, and labels anywhere, values and timestamps are
// written to local disk until the line has been read to its end; a line that breaks off adds nothing.
type longLine struct {
	ctx   context.Context //nolint:containedctx // of the one call that makes it
	in    *bufio.Reader
	d     *vmline.Decoder
	token []byte
	// ended: the end of the line, or of the file, was read.
	ended  bool
	err    error // of the file
	metric []byte
	values spool
	times  spool
}

const (
	// maxMetricBytes bounds the labels of a line, maxTokenBytes a number.
	maxMetricBytes = 1 << 20
	maxTokenBytes  = 64
)

// errLine: the line will not do. io.EOF within a line is one of them.
func errLine(format string, args ...any) error {
	return fmt.Errorf("%w: %s", model.ErrInvalid, fmt.Sprintf(format, args...))
}

// read reads the line; an error that wraps model.ErrInvalid is of that line alone. In any case in then stands behind it, unless the file fails.
func (l *longLine) read() (labels.Labels, error) {
	l.ended, l.metric = false, l.metric[:0]
	l.values.reset()
	l.times.reset()
	err := l.object()
	for !l.ended && l.err == nil {
		if _, e := l.in.ReadSlice('\n'); e == nil {
			l.ended = true
		} else if !errors.Is(e, bufio.ErrBufferFull) {
			l.fail(e)
		}
	}
	switch {
	case l.err != nil:
		return labels.EmptyLabels(), l.err
	case err != nil:
		return labels.EmptyLabels(), err
	case l.values.n != l.times.n:
		return labels.EmptyLabels(), errLine("it has %d values and %d timestamps", l.values.n, l.times.n)
	}
	// Labels are read by the same code as those of short lines.
	short := append(append([]byte(`{"metric":`), l.metric...), `,"values":[],"timestamps":[]}`...)
	if len(l.metric) == 0 {
		short = []byte(`{"values":[],"timestamps":[]}`)
	}
	return l.d.Line(short, &model.Columns{})
}

// fail notes an error of the file, whose end is none.
func (l *longLine) fail(err error) {
	l.ended = true
	if !errors.Is(err, io.EOF) && l.err == nil {
		l.err = err
	}
}

// next is the next byte; 0 behind the line.
func (l *longLine) next() byte {
	if l.ended {
		return 0
	}
	c, err := l.in.ReadByte()
	if err != nil {
		l.fail(err)
		return 0
	}
	if c == '\n' {
		l.ended = true
		return 0
	}
	return c
}

// word is the next byte that is no white space.
func (l *longLine) word() byte {
	for {
		switch c := l.next(); c {
		case ' ', '\t', '\r':
		default:
			return c
		}
	}
}

func (l *longLine) expect(want byte) error {
	if c := l.word(); c != want {
		return errLine("%q instead of %q", c, want)
	}
	return nil
}

func (l *longLine) object() error {
	if err := l.expect('{'); err != nil {
		return err
	}
	for n := 0; ; n++ {
		c := l.word()
		if c == '}' && n == 0 {
			break
		}
		if c != '"' {
			return errLine("%q where a name should be", c)
		}
		if err := l.member(); err != nil {
			return err
		}
		c = l.word()
		if c == '}' {
			break
		}
		if c != ',' {
			return errLine("%q behind a member", c)
		}
	}
	if c := l.word(); c != 0 || !l.ended {
		return errLine("something is behind the object")
	}
	return nil
}

// member reads a name, whose quote was read, and what it is the name of.
func (l *longLine) member() error {
	raw, err := l.raw('"', l.token[:0], maxMetricBytes)
	if err != nil {
		return err
	}
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		return errLine("%s", err)
	}
	if err := l.expect(':'); err != nil {
		return err
	}
	switch name {
	case "values":
		return l.array(&l.values, longValue)
	case "timestamps":
		return l.array(&l.times, longTime)
	case "metric":
		l.metric, err = l.raw(l.word(), l.metric[:0], maxMetricBytes)
		return err
	}
	_, err = l.raw(l.word(), nil, 0)
	return err
}

// raw reads a value that begins with c, and appends up to most bytes of it to dst; 0 passes over it.
func (l *longLine) raw(c byte, dst []byte, most int) ([]byte, error) {
	depth, quoted := 0, false
	for n := 0; ; n++ {
		if c == 0 {
			return nil, errLine("it breaks off")
		}
		if most > 0 {
			if len(dst) >= most {
				return nil, errLine("labels or a name of more than %d bytes", most)
			}
			dst = append(dst, c)
		}
		switch {
		case quoted && c == '\\':
			if c = l.next(); c == 0 {
				return nil, errLine("it breaks off")
			}
			if most > 0 {
				dst = append(dst, c)
			}
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if depth < 0 {
			return nil, errLine("a bracket that was not opened")
		}
		if depth == 0 && !quoted {
			if c == '"' || c == '}' || c == ']' {
				return dst, nil
			}
			// A number or a word ends before what cannot be of it.
			b, _ := l.in.Peek(1) // what goes wrong is met again
			if len(b) == 0 || bytes.IndexByte([]byte(",}] \t\r\n"), b[0]) >= 0 {
				return dst, nil
			}
		}
		c = l.next()
	}
}

// array reads an array of numbers into a spool.
func (l *longLine) array(to *spool, parse func([]byte) (uint64, error)) error {
	to.reset()
	c := l.word()
	if c == 'n' {
		raw, err := l.raw(c, l.token[:0], maxTokenBytes)
		if err == nil && string(raw) != "null" {
			err = errLine("%.40q is no array", raw)
		}
		return err
	}
	if c != '[' {
		return errLine("%q instead of an array", c)
	}
	if c = l.word(); c == ']' {
		return nil
	}
	for n := 0; ; n++ {
		if n%(1<<16) == 0 && l.ctx.Err() != nil {
			l.err = l.ctx.Err()
			return l.err
		}
		l.token = l.token[:0]
		for ; c != ',' && c != ']' && c != 0 && c != ' ' && c != '\t' && c != '\r'; c = l.next() {
			if l.token = append(l.token, c); len(l.token) > maxTokenBytes {
				return errLine("a number of more than %d bytes", maxTokenBytes)
			}
		}
		v, err := parse(l.token)
		if err != nil {
			return err
		}
		if err := to.add(v); err != nil {
			l.err = err
			return err
		}
		if c != ',' && c != ']' {
			c = l.word()
		}
		if c == ']' {
			return nil
		}
		if c != ',' || l.ended {
			return errLine("it breaks off within an array")
		}
		c = l.word()
	}
}

// longValue reads a value as vmline does.
func longValue(b []byte) (uint64, error) {
	word := b
	if n := len(b); n >= 2 && b[0] == '"' && b[n-1] == '"' {
		word = b[1 : n-1]
	}
	switch string(word) {
	case "NaN":
		return math.Float64bits(math.NaN()), nil
	case "Infinity", "+Infinity", "Inf", "+Inf":
		return math.Float64bits(math.Inf(1)), nil
	case "-Infinity", "-Inf":
		return math.Float64bits(math.Inf(-1)), nil
	}
	if string(b) == "null" {
		return math.Float64bits(vmline.Null), nil
	}
	if !json.Valid(b) || len(b) == 0 || b[0] != '-' && (b[0] < '0' || b[0] > '9') {
		return 0, errLine("%.40q is no number", b)
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return 0, errLine("%.40q: %s", b, err)
	}
	return math.Float64bits(v), nil
}

func longTime(b []byte) (uint64, error) {
	v, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || b[0] == '+' {
		return 0, errLine("%.40q is no timestamp", b)
	}
	return uint64(v), nil
}

// columns calls take with the samples that were read, some thousand at a time.
func (l *longLine) columns(take func(*model.Columns) error) error {
	c := &model.Columns{}
	values, times := l.values.reader(), l.times.reader()
	var v, t [8]byte
	for i := int64(0); i < l.values.n; i++ {
		if _, err := io.ReadFull(values, v[:]); err != nil {
			return fmt.Errorf("read values back: %w", err)
		}
		if _, err := io.ReadFull(times, t[:]); err != nil {
			return fmt.Errorf("read timestamps back: %w", err)
		}
		c.Append(int64(binary.LittleEndian.Uint64(t[:])), math.Float64frombits(binary.LittleEndian.Uint64(v[:])))
		if c.Len() < 8192 && i+1 < l.values.n {
			continue
		}
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if err := take(c); err != nil {
			return err
		}
		c.Reset()
	}
	return nil
}

// close removes what is on disk.
func (l *longLine) close() error { return errors.Join(l.values.close(), l.times.close()) }
