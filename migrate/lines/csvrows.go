package lines

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"

	"github.com/varvedb/varve/model"
)

// maxCSVRow bounds a row, and with it the memory that its fields take.
const maxCSVRow = 1 << 20

// csvRows reads rows of CSV, which a quoted line end makes go over several lines. encoding/csv reads them, but is given one at a time, so that none is longer than may be and one that is wrong takes no
// other with it.
type csvRows struct {
	in      io.Reader
	delim   byte
	max     int
	buf     []byte // what was read, of which rest is not looked at yet
	rest    []byte
	ended   bool
	endless bool  // what comes up to the next line end belongs to a row that is too long
	line    int64 // how many lines came before rest
	row     []byte
	parser  *csv.Reader
	// faults are quotes without an end, plain how many bytes are read without heed to quotes.
	faults, plain int
}

// maxFaults quotes that have no end are looked for to the end of what was read. After so many, lines are taken as they stand for as long: looking for each of them would never
// end.
const maxFaults = 8

func newCSVRows(in io.Reader, delim byte) *csvRows {
	return &csvRows{in: in, delim: delim, max: maxCSVRow}
}

// Read gives the row at hand to encoding/csv.
func (c *csvRows) Read(p []byte) (int, error) {
	if len(c.row) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.row)
	c.row = c.row[n:]
	return n, nil
}

// next returns the next row, valid until the one after, and the number of its first line. An error that wraps model.ErrInvalid is of that row alone; io.EOF is the end.
func (c *csvRows) next() ([]string, int64, error) {
	for {
		n, lines := c.end()
		if n < 0 {
			if number, err := c.more(); err != nil {
				return nil, number, err
			}
			continue
		}
		row, number := c.rest[:n], c.line+1
		c.rest, c.line, c.plain = c.rest[n:], c.line+lines, c.plain-n
		if c.endless {
			c.endless = false
			continue
		}
		if len(bytes.TrimSpace(row)) == 0 {
			continue
		}
		fields, err := c.parse(row)
		return fields, number, err
	}
}

// end is rowEnd of what is next.
func (c *csvRows) end() (n int, lines int64) {
	if c.plain <= 0 {
		return rowEnd(c.rest, c.delim)
	}
	if n = bytes.IndexByte(c.rest, '\n') + 1; n == 0 {
		return -1, 0
	}
	return n, 1
}

// more reads on, as there is no whole row. An error is that of the input, or names a row that has no end.
func (c *csvRows) more() (int64, error) {
	number := c.line + 1
	if len(c.rest) >= c.max || c.ended && len(c.rest) > 0 {
		// The lines behind an open quote are read as rows of their own.
		if n := bytes.IndexByte(c.rest, '\n') + 1; n > 0 {
			c.rest, c.line = c.rest[n:], c.line+1
			if c.faults++; c.faults > maxFaults {
				c.faults, c.plain = 0, len(c.rest)
			}
			return number, fmt.Errorf("a quoted field has no end: %w", model.ErrInvalid)
		}
		c.rest = nil
		if c.endless {
			return 0, nil
		}
		c.endless = true
		return number, fmt.Errorf("it is longer than %d bytes: %w", c.max, model.ErrInvalid)
	}
	if c.ended {
		return 0, io.EOF
	}
	if cap(c.buf) == 0 {
		c.buf = make([]byte, 0, c.max+1)
	}
	c.buf = c.buf[:copy(c.buf[:cap(c.buf)], c.rest)]
	for len(c.buf) < c.max && !c.ended {
		n, err := c.in.Read(c.buf[len(c.buf):c.max])
		c.buf = c.buf[:len(c.buf)+n]
		if errors.Is(err, io.EOF) {
			c.ended = true
			if n := len(c.buf); n > 0 && c.buf[n-1] != '\n' {
				c.buf = append(c.buf, '\n')
			}
		} else if err != nil {
			return 0, err
		}
	}
	c.rest = c.buf
	return 0, nil
}

func (c *csvRows) parse(row []byte) ([]string, error) {
	if c.parser == nil {
		c.parser = csv.NewReader(c)
		c.parser.Comma, c.parser.ReuseRecord, c.parser.FieldsPerRecord = rune(c.delim), true, -1
	}
	c.row = row
	fields, err := c.parser.Read()
	if err == nil && len(c.row) > 0 {
		err = errors.New("it ends before its last line")
	}
	if err != nil {
		c.row, c.parser = nil, nil // which may hold some of it
		if e := (*csv.ParseError)(nil); errors.As(err, &e) {
			err = fmt.Errorf("column %d: %w", e.Column, e.Err)
		}
		return nil, fmt.Errorf("%w: %w", err, model.ErrInvalid)
	}
	return fields, nil
}

// rowEnd is where the first row ends, behind its line end, and how many line ends it has; -1 if it goes on behind b.
func rowEnd(b []byte, delim byte) (n int, lines int64) {
	n = bytes.IndexByte(b, '\n') + 1
	if n == 0 {
		return -1, 0
	}
	if bytes.IndexByte(b[:n], '"') < 0 {
		return n, 1
	}
	begins, quoted, inside := true, false, false // a field begins; it began with a quote; what is read is quoted
	for i, c := range b {
		switch {
		case c == '\n':
			lines++
			if !inside {
				return i + 1, lines
			}
		case c == '"' && (begins || quoted):
			// Two in a quoted field stand for one: the first ends it, the second begins it anew.
			quoted, inside = true, !inside
		case c == delim && !inside:
			begins, quoted = true, false
			continue
		}
		begins = false
	}
	return -1, 0
}
