package influx

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/varvedb/varve/model"
)

// feed hands the lines of a chunk to the decoder, one a Read, so that it is known which one it is at. Empty lines and comments are kept from it.
type feed struct {
	d     *decoder
	rest  []byte // not yet looked at; it ends with a line end, or with a line that goes on behind the chunk
	last  bool   // nothing comes behind rest
	line  int    // how many lines came before rest
	entry int    // number of the line that the decoder is at
	cur   []byte // of which this is not read yet
}

// Read implements io.Reader.
func (f *feed) Read(p []byte) (int, error) {
	if len(f.cur) == 0 && !f.next() {
		return 0, io.EOF
	}
	n := copy(p, f.cur)
	f.cur = f.cur[n:]
	return n, nil
}

// next finds the next line that says something.
func (f *feed) next() bool {
	for len(f.rest) > 0 {
		n, lines := f.end()
		if n < 0 {
			if !f.last {
				return false
			}
			f.broken()
			continue
		}
		line := f.rest[:n]
		f.entry = f.line + 1
		f.line, f.rest = f.line+lines, f.rest[n:]
		if f.d.plain > 0 {
			f.d.plain -= n
			if end, _ := lineEnd(line); end < 0 {
				f.d.bad(f.entry, errOpenString)
				continue
			}
		}
		text := bytes.Trim(line, " \t\r\n")
		switch {
		case len(text) == 0:
		case text[0] == '#':
			f.d.comment(text)
		case f.d.ddl && bytes.HasPrefix(text, []byte("CREATE ")): // a statement for InfluxDB
		default:
			f.cur = line
			return true
		}
	}
	return false
}

var errOpenString = fmt.Errorf("a string has no end: %w", model.ErrInvalid)

// broken names a line whose string does not end, and passes over it.
func (f *feed) broken() {
	f.d.bad(f.line+1, errOpenString)
	n := bytes.IndexByte(f.rest, '\n') + 1
	if n == 0 {
		n = len(f.rest)
	}
	f.line, f.rest = f.line+1, f.rest[n:]
	if f.d.faults++; f.d.faults > maxFaults {
		f.d.faults, f.d.plain = 0, len(f.rest)
	}
}

// maxFaults strings that have no end are looked through to the end of the chunk. After so many, lines are taken as they stand for as long: looking for the end of each of them
// would never end.
const maxFaults = 8

// end is lineEnd of what is next.
func (f *feed) end() (n, lines int) {
	if f.d.plain <= 0 {
		return lineEnd(f.rest)
	}
	if n = bytes.IndexByte(f.rest, '\n') + 1; n == 0 {
		return -1, 0
	}
	return n, 1
}

// lineEnd is where the first line ends, behind its line end, and how many line ends it has, as strings may hold them; -1 if it goes on behind b.
func lineEnd(b []byte) (n, lines int) {
	n = bytes.IndexByte(b, '\n') + 1
	if n == 0 {
		return -1, 0
	}
	if bytes.IndexByte(b[:n], '"') < 0 || bytes.HasPrefix(bytes.TrimLeft(b[:n], " \t"), []byte{'#'}) {
		return n, 1
	}
	return quotedEnd(b)
}

// quotedEnd is lineEnd of a line in which there is a quote. Quotes mean something at the beginning of a field's value, and from there to the one that ends it.
func quotedEnd(b []byte) (n, lines int) {
	i := bytes.IndexFunc(b, func(r rune) bool { return r != ' ' && r != '\t' })
	for ; i < len(b) && b[i] != ' ' && b[i] != '\n'; i++ {
		if b[i] == '\\' && i+1 < len(b) && b[i+1] != '\n' {
			i++
		}
	}
	inside := false
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\n':
			lines++
			if !inside {
				return i + 1, lines
			}
		case c == '\\' && i+1 < len(b) && b[i+1] != '\n':
			i++
		case c == '"' && inside:
			inside = false
		case c == '"' && b[i-1] == '=':
			inside = true
		}
	}
	return -1, 0
}

// comment takes what exports say of the lines behind it.
func (d *decoder) comment(line []byte) {
	const database, policy = "# CONTEXT-DATABASE:", "# CONTEXT-RETENTION-POLICY:"
	s := string(line[:min(len(line), 4096)])
	switch {
	case s == "# DDL":
		d.ddl = true
	case s == "# DML":
		d.ddl = false
	case strings.HasPrefix(s, database):
		d.ddl = false
		d.database = contextName(s[len(database):])
	case strings.HasPrefix(s, policy):
		d.ddl = false
		d.policy = contextName(s[len(policy):])
	}
}

// contextName is a name of a comment, without the quotes that it may have.
func contextName(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	}
	return s
}
