package lines

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// archive reads a file that may be compressed. What a damaged one has up to the place is read as far as whole lines go: a line that is cut off could pass for another one.
type archive struct {
	raw    countReader // the file as it lies there
	plain  io.Reader
	zstd   *zstd.Decoder
	buf    []byte // of which [from, ready) can be handed out
	from   int
	ready  int
	ended  bool
	damage error // what is wrong with the compressed file, nil if nothing is
}

const (
	// heldBack is the length up to which a line waits for its end.
	heldBack = 1 << 20
	// maxWindow is the memory that a zstd file may ask for: as much as the tool zstd grants.
	maxWindow = 128 << 20

	gzipMagic, zstdMagic = "\x1f\x8b", "\x28\xb5\x2f\xfd"
	byteOrderMark        = "\ufeff"
)

// newArchive reads a file, which is compressed if it begins so or its name ends with .gz or .zst.
func newArchive(name string, in io.Reader) (*archive, error) {
	a := &archive{raw: countReader{in: in}}
	b := bufio.NewReaderSize(&a.raw, 64<<10)
	magic, err := b.Peek(len(zstdMagic)) // what is wrong is met again
	if a.raw.err != nil {
		return nil, a.raw.err
	}
	switch {
	case bytes.HasPrefix(magic, []byte(gzipMagic)) || strings.HasSuffix(name, ".gz"):
		var z *gzip.Reader
		z, err = gzip.NewReader(b)
		a.plain = z
	case string(magic) == zstdMagic || strings.HasSuffix(name, ".zst"):
		if err != nil { // zstd takes what is shorter for a file without anything in it
			break
		}
		a.zstd, err = zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		a.plain = a.zstd
	default:
		return a, a.begin(b)
	}
	if a.raw.err != nil {
		return nil, a.raw.err
	}
	if err != nil {
		a.fail(err)
		a.plain = bytes.NewReader(nil)
		return a, nil
	}
	return a, a.begin(wholeLines{a, a.plain})
}

// begin passes over a byte order mark.
func (a *archive) begin(in io.Reader) error {
	b := bufio.NewReaderSize(in, 64<<10)
	a.plain = b
	if mark, _ := b.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		_, err := b.Discard(len(mark))
		return err
	}
	return nil
}

// Read implements io.Reader.
func (a *archive) Read(p []byte) (int, error) { return a.plain.Read(p) }

func (a *archive) fail(err error) {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	a.ended, a.damage = true, err
}

func (a *archive) close() {
	if a.zstd != nil {
		a.zstd.Close()
	}
}

// wholeLines reads what is decompressed, in whole lines unless they are long or the end is a good one.
type wholeLines struct {
	a  *archive
	in io.Reader
}

// Read implements io.Reader.
func (w wholeLines) Read(p []byte) (int, error) {
	a := w.a
	for a.from == a.ready && !a.ended {
		if err := w.more(); err != nil {
			return 0, err
		}
	}
	if a.from == a.ready {
		return 0, io.EOF
	}
	n := copy(p, a.buf[a.from:a.ready])
	a.from += n
	return n, nil
}

// more reads on. An error is that of the file.
func (w wholeLines) more() error {
	const once = 64 << 10
	a := w.a
	if cap(a.buf) == 0 {
		a.buf = make([]byte, 0, heldBack+once)
	}
	a.buf = a.buf[:copy(a.buf, a.buf[a.ready:])]
	a.from, a.ready = 0, 0
	had := len(a.buf)
	if had >= heldBack {
		a.ready = had
		return nil
	}
	n, err := w.in.Read(a.buf[had : had+once])
	a.buf = a.buf[:had+n]
	if i := bytes.LastIndexByte(a.buf[had:], '\n'); i >= 0 {
		a.ready = had + i + 1
	}
	switch {
	case a.raw.err != nil:
		return a.raw.err
	case errors.Is(err, io.EOF):
		a.ended, a.ready = true, len(a.buf)
	case err != nil:
		a.fail(err)
	}
	return nil
}

// countReader counts what it reads, and keeps the error of it, which is not its end.
type countReader struct {
	in  io.Reader
	n   int64
	err error
}

// Read implements io.Reader.
func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
