package ingester

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// State files are small files that are replaced as a whole: the writer file and the manifests of local
// blocks. They are text, so that an operator can read them:
//
//	varve-writer 1\n          magic and version, decimal
//	{"id":…}\n                one line of JSON
//	1a2b3c4d\n                CRC-32C of all bytes before this line, 8 hex digits
//
// A reader of version N reads version N−1 too and refuses N+1 (model.ErrVersion); unknown JSON fields are an
// error as well, because dropping one at the next write would forget what a newer Varve knew.
const stateVersion = 1

// maxStateBytes bounds what is read: a manifest of 100,000 blocks has about 20 MB.
const maxStateBytes = 64 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeState returns the bytes of a state file.
func encodeState(magic string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", magic, err)
	}
	b := fmt.Appendf(nil, "%s %d\n%s\n", magic, stateVersion, body)
	return fmt.Appendf(b, "%08x\n", crc32.Checksum(b, castagnoli)), nil
}

// decodeState reads what encodeState wrote into v.
func decodeState(magic string, data []byte, v any) error {
	head, rest, ok := bytes.Cut(data, []byte("\n"))
	name, version, ok2 := strings.Cut(string(head), " ")
	if !ok || !ok2 || name != magic {
		return fmt.Errorf("does not begin with %q: %w", magic, model.ErrCorrupt)
	}
	n, err := strconv.ParseUint(version, 10, 32)
	if err != nil {
		return fmt.Errorf("version %.20q: %w", version, model.ErrCorrupt)
	}
	if n > stateVersion {
		return fmt.Errorf("version %d, this program reads up to %d: %w", n, stateVersion, model.ErrVersion)
	}
	body, sum, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || len(sum) != 9 || sum[8] != '\n' {
		return fmt.Errorf("cut short at byte %d: %w", len(data), model.ErrCorrupt)
	}
	want, err := strconv.ParseUint(string(sum[:8]), 16, 32)
	if got := crc32.Checksum(data[:len(data)-9], castagnoli); err != nil || uint32(want) != got {
		return fmt.Errorf("checksum %q, computed %08x: %w", sum[:8], got, model.ErrCorrupt)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", err, model.ErrCorrupt)
	}
	return nil
}

// readState reads the state file name into v; a missing file is an error that wraps fs.ErrNotExist.
func readState(fsys vfs.FS, name, magic string, v any) error {
	data, err := readFile(fsys, name, maxStateBytes)
	if err != nil {
		return err
	}
	if err := decodeState(magic, data, v); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// writeState replaces the state file name. After an error either content may be found; the caller
// goes no further until a write succeeded.
func writeState(fsys vfs.FS, name, magic string, v any) error {
	data, err := encodeState(magic, v)
	if err != nil {
		return err
	}
	return writeFile(fsys, name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// writeFile makes or replaces the file name with what write puts out: temporary file, fsync, rename, fsync of
// the directory. After a crash there is the old file, the new one, or a temporary one that the next writeFile removes.
func writeFile(fsys vfs.FS, name string, write func(w io.Writer) error) (err error) {
	tmp := name + ".tmp"
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", name, err)
	}
	f, err := fsys.Create(tmp)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(tmp, name)
	} else {
		// Gives the space back on a full disk; if that fails too, the next try does it.
		_ = fsys.Remove(tmp)
	}
	if err == nil {
		err = fsys.SyncDir(path.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// readFile reads a file of at most limit bytes.
func readFile(fsys vfs.FS, name string, limit int64) (data []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("read %s: %w", name, cerr)
		}
	}()
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: longer than %d bytes: %w", name, limit, model.ErrCorrupt)
	}
	return data, nil
}
