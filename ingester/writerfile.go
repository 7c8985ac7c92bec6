package ingester

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

const writerMagic = "varve-writer"

// writerFile is the content of the state file "writer" of a data directory: who the writer is, and what of
// its past must not be forgotten when the log is empty.
type writerFile struct {
	// ID names the writer; it is the data directory's identity.
	ID string `json:"id"`
	// Next is the id that a fenced writer is moving to; "" unless a move has begun.
	Next string `json:"next,omitempty"`
	// Registered: the roster holds ID as active. False until the first registration and after a clean end, when
	// nothing may be acknowledged before the roster says active again.
	Registered bool `json:"registered"`
	// Shipping: this id has shipped segments, or was about to, so somebody may have put a fence. Never goes back to false for an id.
	Shipping bool `json:"shipping"`
	// Floor is the lowest generation that may still exist locally. Generations below it are in the catalog.
	Floor uint64 `json:"floor"`
	// Shipped lists released generations whose segments in the bucket wait for deletion, oldest first.
	Shipped []shippedGeneration `json:"shipped,omitempty"`
}

// shippedGeneration is a released generation whose segments are still in the bucket.
type shippedGeneration struct {
	Writer     string `json:"writer"`
	Generation uint64 `json:"generation"`
	Segments   uint64 `json:"segments"`
	ReleasedMs int64  `json:"released_ms"`
}

// clone returns a copy that can be changed without changing w.
func (w *writerFile) clone() *writerFile {
	c := *w
	c.Shipped = append([]shippedGeneration(nil), w.Shipped...)
	return &c
}

// loadWriterFile reads the writer file of a data directory, or makes one with a new id.
func loadWriterFile(fsys vfs.FS, dir string, rand io.Reader) (*writerFile, error) {
	w := new(writerFile)
	err := readState(fsys, writerPath(dir), writerMagic, w)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := mustBeNew(fsys, dir); err != nil {
			return nil, err
		}
		if w.ID, err = newWriterID(rand); err != nil {
			return nil, err
		}
		w.Floor = 1
		if err := writeState(fsys, writerPath(dir), writerMagic, w); err != nil {
			return nil, err
		}
		return w, nil
	case err != nil:
		return nil, err
	}
	// What was read may be a rename that is not durable yet, by a process that was killed.
	if err := fsys.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("read %s: %w", writerPath(dir), err)
	}
	for _, id := range []string{w.ID, w.Next} {
		if id == "" && id != w.ID {
			continue
		}
		if err := tenant.Check(id); err != nil {
			return nil, fmt.Errorf("read %s: writer %w", writerPath(dir), err)
		}
	}
	return w, nil
}

// mustBeNew refuses a data directory that has logs and no writer file: the file comes first and is never removed, so it was lost, and the
// logs of any id that it does not name would be swept away.
func mustBeNew(fsys vfs.FS, dir string) error {
	logs, err := fsys.ReadDir(path.Join(dir, "wal"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(logs) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%s is missing, though there is the log %s: %w", writerPath(dir), path.Join(dir, "wal", logs[0].Name()), model.ErrCorrupt)
}

func writerPath(dir string) string { return path.Join(dir, "writer") }

// newWriterID returns 80 random bits in hex: no two data directories ever share an id.
func newWriterID(rand io.Reader) (string, error) {
	var b [10]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("choose writer id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
