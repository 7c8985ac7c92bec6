package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// The hint how far the log was shipped is a small file beside the generations:
//
//	8  magic "VARVSHIP"
//	8  generation, little endian
//	8  seq
//	4  CRC-32C of all before
//
// It is renamed into place but not synced: a lost, torn or old hint only costs shipping again what is in the bucket already.
const (
	shippedMagic = "VARVSHIP"
	shippedName  = "shipped"
	shippedBytes = 28
)

// SetShipped notes that all segments up to and including this one are in the bucket.
func (l *Log) SetShipped(generation, seq uint64) error {
	l.mu.Lock()
	l.shipped = &Position{generation, seq}
	l.mu.Unlock()
	b := append(make([]byte, 0, shippedBytes), shippedMagic...)
	b = le.AppendUint64(b, generation)
	b = le.AppendUint64(b, seq)
	b = le.AppendUint32(b, checksum(b))
	name := path.Join(l.dir, shippedName)
	if err := l.writeHint(name, b); err != nil {
		return fmt.Errorf("note shipped segment in %s: %w", name, err)
	}
	return nil
}

func (l *Log) writeHint(name string, b []byte) error {
	tmp := name + tmpSuffix
	if err := l.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := l.fs.Create(tmp)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return l.fs.Rename(tmp, name)
}

// Shipped returns the last segment noted by SetShipped, in this process or, if the note survived, in an earlier one.
func (l *Log) Shipped() (generation, seq uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shipped == nil {
		return 0, 0, false
	}
	return l.shipped.Generation, l.shipped.Seq, true
}

// readShipped reads the hint; any fault means that there is none.
func (l *Log) readShipped() *Position {
	b, err := readFile(l.fs, path.Join(l.dir, shippedName), nil)
	if err != nil || len(b) != shippedBytes || string(b[:8]) != shippedMagic || checksum(b[:24]) != le.Uint32(b[24:]) {
		return nil
	}
	return &Position{le.Uint64(b[8:]), le.Uint64(b[16:])}
}
