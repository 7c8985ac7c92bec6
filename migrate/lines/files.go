package lines

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// FileOptions are the tunables of sources of files; nil means defaults.
type FileOptions struct {
	// TempDir and SortBytes are for sorting, see Config.
	TempDir   string
	SortBytes int64
	// Stdin is read where a path is "-".
	Stdin io.Reader
}

// format reads one kind of file: it calls add for each sample.
type format interface {
	// name is that of the format, and whatever else decides what a file of it means.
	name() string
	read(ctx context.Context, f *file) error
}

// Files are files whose samples come in any order, sorted on local disk before the first day. Of equal timestamps the sample that was read last is kept.
type Files struct {
	format format
	paths  []string
	opts   FileOptions
	skips  *migrate.Skips
	sorter *spill.Sorter
	print  string
}

var _ migrate.Source = (*Files)(nil)

func newFiles(f format, paths []string, skips *migrate.Skips, o *FileOptions) *Files {
	s := &Files{format: f, paths: paths, skips: skips}
	if o != nil {
		s.opts = *o
	}
	if s.opts.SortBytes <= 0 {
		s.opts.SortBytes = migrate.DefaultSortBytes
	}
	return s
}

// Days implements Source. It reads and sorts all files.
func (s *Files) Days(ctx context.Context, r model.TimeRange, want migrate.Want) ([]migrate.Extent, error) {
	s.begin()
	s.sorter.Stop = ctx.Err
	sum := sha256.New()
	fmt.Fprintf(sum, "%q", s.format.name())
	for _, path := range s.paths {
		if err := s.readFile(ctx, path, sum, r, want); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	if err := s.sorter.Finish(); err != nil {
		return nil, err
	}
	s.print = hex.EncodeToString(sum.Sum(nil)[:16])
	extents := map[model.Day]*migrate.Extent{}
	for d, n := range s.sorter.Counts() {
		extents[d] = &migrate.Extent{Day: d, Samples: n, Fingerprint: s.print}
	}
	return migrate.InOrder(extents), nil
}

// readFile reads a file, of which it takes the sum as well; it may be compressed.
func (s *Files) readFile(ctx context.Context, path string, sum hash.Hash, r model.TimeRange, want migrate.Want) error {
	in := s.opts.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	if in == nil {
		return fmt.Errorf("there is no standard input: %w", model.ErrInvalid)
	}
	a, err := newArchive(path, in)
	if err != nil {
		return err
	}
	defer a.close()
	if err := s.format.read(ctx, s.newFile(path, io.TeeReader(a, sum), r, want)); err != nil {
		return err
	}
	if a.damage == nil {
		return nil
	}
	return s.skips.Add(migrate.Skip{Kind: "file", Where: path, Offset: a.raw.n, Reason: fmt.Sprintf("what is behind it cannot be decompressed: %v", a.damage)})
}

func (s *Files) begin() { s.sorter = spill.New(s.opts.TempDir, s.opts.SortBytes, spill.LastWins) }

func (s *Files) newFile(path string, in io.Reader, r model.TimeRange, want migrate.Want) *file {
	return &file{path: path, in: in, s: s, r: r, want: want, known: map[string]bool{}}
}

// Series implements Source. Matchers were applied by Days.
func (s *Files) Series(ctx context.Context, r model.TimeRange, _ migrate.Want) iter.Seq2[model.Series, error] {
	return s.sorter.Series(ctx, model.DayOf(r.MinMs))
}

// Close implements Source.
func (s *Files) Close() error {
	if s.sorter == nil {
		return nil
	}
	return s.sorter.Close()
}

// file is a file that is being read.
type file struct {
	path string
	in   io.Reader
	s    *Files
	r    model.TimeRange
	want migrate.Want
	// known are keys of series of which it is known whether they are to be taken, knownBytes what they take.
	known      map[string]bool
	knownBytes int
	// rows are what is said beside samples, nil for formats that say nothing.
	rows *rows
}

// maxKnownKeys and maxKnownKeyBytes bound file.known: keys may be long.
const (
	maxKnownKeys     = 1 << 18
	maxKnownKeyBytes = 32 << 20
)

// labelsOf are the labels of a key, sorted, as the file has them.
type labelsOf func() (labels.Labels, error)

// add adds a sample of a line.
func (f *file) add(line int64, key []byte, ls labelsOf, t int64, v float64) error {
	if ok, err := f.inRange(line, t); !ok {
		return err
	}
	o, err := f.series(line, key, ls)
	if o == nil || err != nil {
		return err
	}
	return f.s.sorter.Put(o, t, v, nil)
}

// addColumns adds samples of a line that has many.
func (f *file) addColumns(line int64, key []byte, ls labelsOf, c *model.Columns) error {
	var o *spill.Open
	for i, t := range c.T {
		ok, err := f.inRange(line, t)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if o == nil || !f.s.sorter.Holds(o) {
			if o, err = f.series(line, key, ls); o == nil || err != nil {
				return err
			}
		}
		if err := f.s.sorter.Put(o, t, c.V[i], nil); err != nil {
			return err
		}
	}
	return nil
}

// inRange reports whether a sample of the time is to be taken.
func (f *file) inRange(line, t int64) (bool, error) {
	if t < model.MinTimeMs || t > model.MaxTimeMs {
		return false, f.skip(line, 1, fmt.Sprintf("timestamp %d ms is not of the years 1 to 9999", t))
	}
	return f.r.Contains(t), nil
}

// series is the series with the key, to put one sample into; nil if it is not to be taken.
func (f *file) series(line int64, key []byte, ls labelsOf) (*spill.Open, error) {
	if o := f.s.sorter.Find(key); o != nil {
		return o, nil
	}
	take, ok := f.known[string(key)]
	if ok && !take {
		return nil, nil
	}
	l, err := ls()
	if err != nil {
		return nil, err
	}
	clean, why := migrate.Clean(l)
	if !ok {
		if take, err = f.judge(line, l, clean, why); err != nil {
			return nil, err
		}
		f.know(key, take)
	}
	if !take {
		return nil, nil
	}
	return f.s.sorter.Open(key, clean), nil
}

// know remembers of a key whether its series is to be taken.
func (f *file) know(key []byte, take bool) {
	if len(f.known) >= maxKnownKeys || f.knownBytes+len(key) > maxKnownKeyBytes {
		f.known, f.knownBytes = map[string]bool{}, 0
	}
	f.known[string(key)] = take
	f.knownBytes += len(key)
}

// judge says whether a series that is met for the first time is to be taken.
func (f *file) judge(line int64, ls, clean labels.Labels, why error) (bool, error) {
	if why != nil {
		return false, f.s.skips.Add(migrate.Skip{Kind: "series", Where: f.path, Line: line, Reason: fmt.Sprintf("%.300s: %s", ls, why)})
	}
	if !f.want(clean) {
		return false, nil
	}
	f.rows.series(clean)
	return true, nil
}

// skip notes a line that cannot be taken over.
func (f *file) skip(line, samples int64, reason string) error {
	return f.s.skips.Add(migrate.Skip{Kind: "line", Where: f.path, Line: line, Samples: samples, Reason: cut(reason)})
}

// cut bounds what is said of one thing, and takes out what a terminal should not see: errors may quote the line.
func cut(reason string) string {
	const most = 400
	if len(reason) > most {
		reason = reason[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, reason)
}

// bad notes the lines of a chunk that do not parse: all of them, of which some are named.
func (f *file) bad(named []model.BadLine, all int) error {
	for _, bad := range named {
		if err := f.skip(int64(bad.Number), 0, bad.Err.Error()); err != nil {
			return err
		}
	}
	more := all - len(named)
	if len(named) == 0 || more <= 0 {
		return nil
	}
	return f.s.skips.Add(migrate.Skip{
		Kind: "line", Where: f.path, Line: int64(named[len(named)-1].Number), Count: int64(more), Reason: fmt.Sprintf("and %d lines behind it that do not parse", more),
	})
}

// timeless notes samples that have no time.
func (f *file) timeless(samples int64) error {
	if samples == 0 {
		return nil
	}
	return f.s.skips.Add(migrate.Skip{Kind: "samples", Where: f.path, Samples: samples, Reason: "they have no time"})
}
