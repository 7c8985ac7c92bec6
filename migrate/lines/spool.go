package lines

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/varvedb/varve/migrate/spill"
)

// spool keeps numbers until they are read back, those that do not fit its buffer on local disk. For one goroutine.
type spool struct {
	parent  string // where the directory is made
	dir     *spill.Dir
	f       *os.File
	buf     []byte
	written int64 // bytes in f
	n       int64 // numbers
}

// spoolBytes is how much is held in memory.
const spoolBytes = 1 << 20

func (s *spool) reset() { s.buf, s.written, s.n = s.buf[:0], 0, 0 }

func (s *spool) add(v uint64) error {
	s.buf = binary.LittleEndian.AppendUint64(s.buf, v)
	s.n++
	if len(s.buf) < spoolBytes {
		return nil
	}
	if s.f == nil {
		if err := s.create(); err != nil {
			return err
		}
	}
	if _, err := s.f.WriteAt(s.buf, s.written); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	s.written += int64(len(s.buf))
	s.buf = s.buf[:0]
	return nil
}

func (s *spool) create() (err error) {
	if s.dir, err = spill.MakeDir(s.parent); err != nil {
		return err
	}
	if s.f, err = os.Create(filepath.Join(s.dir.Path(), "spool")); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// reader reads all numbers, 8 bytes each.
func (s *spool) reader() io.Reader {
	if s.written == 0 {
		return bytes.NewReader(s.buf)
	}
	return io.MultiReader(bufio.NewReaderSize(io.NewSectionReader(s.f, 0, s.written), 64<<10), bytes.NewReader(s.buf))
}

func (s *spool) close() error {
	var errs []error
	if s.f != nil {
		errs = append(errs, s.f.Close())
	}
	if s.dir != nil {
		errs = append(errs, s.dir.Close())
	}
	s.f, s.dir = nil, nil
	return errors.Join(errs...)
}
