package wal

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// smallLog writes a log of every kind of segment: a closed one, one whose last group failed, a fresh one with the end mark
// after it, and an open one of three groups.
func smallLog(t *testing.T) map[Position][]byte {
	t.Helper()
	fsys := memfs.New()
	l := open(t, fsys)
	require.NoError(t, put(l, "a", 1))
	require.NoError(t, put(l, "b", 2))
	require.NoError(t, l.Cut(t.Context()))
	require.NoError(t, put(l, "a", 3))
	fsys.SetHook(memfs.At(1, syscall.EIO, memfs.OpSync))
	require.ErrorIs(t, put(l, "a", 4), ErrBroken)
	require.NoError(t, l.EndGeneration())
	for i := 5; i <= 7; i++ {
		require.NoError(t, put(l, "a", i))
	}
	files := map[Position][]byte{}
	for _, s := range l.Segments() {
		p := Position{s.Generation, s.Seq}
		files[p] = mustRead(t, fsys, l.path(p))
	}
	require.Len(t, files, 4)
	return files
}

// openFiles puts the files on a fresh disk and opens the log.
func openFiles(t *testing.T, files map[Position][]byte) (*Log, error) {
	t.Helper()
	fsys := memfs.New()
	for p, b := range files {
		name := localPath(p.Generation, p.Seq)
		require.NoError(t, fsys.MkdirAll(name[:strings.LastIndexByte(name, '/')]))
		writeFile(t, fsys, name, b)
	}
	return Open(fsys, testDir, testWriter, nil)
}

// parts are the header and items of a file, as ranges of bytes, up to its valid length.
func parts(t *testing.T, b []byte, valid int) (all []span) {
	t.Helper()
	h, err := parseHeader(b)
	require.NoError(t, err)
	all = []span{{0, h.length}}
	for at := h.length; at < valid; {
		it, ok := parseItem(b[at:], h.crc, int64(at))
		require.True(t, ok)
		all = append(all, span{at, at + itemHeader + int(it.length)})
		at = all[len(all)-1].to
	}
	return all
}

var offsets = regexp.MustCompile(`offset (\d+)`)

// requireCorrupt wants an error that names the file and an offset within the part.
func requireCorrupt(t *testing.T, err error, p Position, part span, what string) {
	t.Helper()
	require.ErrorIs(t, err, model.ErrCorrupt, what)
	require.ErrorContains(t, err, localPath(p.Generation, p.Seq), what)
	m := offsets.FindStringSubmatch(err.Error())
	require.NotNil(t, m, "%s: %v", what, err)
	off, _ := strconv.Atoi(m[1])
	require.True(t, part.from <= off && off < max(part.to, part.from+1), "%s: %v, want an offset from %d to %d", what, err, part.from, part.to)
}

// TestEveryByteDamaged flips each byte of each file: it is reported with its place, or is in the void part of the failed segment, or in the last
// group of the last segment, which may have been torn by a crash.
func TestEveryByteDamaged(t *testing.T) {
	files := smallLog(t)
	all := []int{1, 2, 3, 5, 6, 7}
	last := Position{2, 0}
	l, err := openFiles(t, files)
	require.NoError(t, err)
	valid := map[Position]int{}
	for _, s := range l.Segments() {
		valid[Position{s.Generation, s.Seq}] = int(s.Bytes)
	}
	require.Less(t, valid[Position{1, 1}], len(files[Position{1, 1}]))
	require.Equal(t, all, replayed(t, l))
	torn := 0
	for p, b := range files {
		ps := parts(t, b, valid[p])
		for i := range b {
			for _, flip := range []byte{1, 0x80, 0xff} {
				what := fmt.Sprintf("byte %d of %v changed by %x", i, p, flip)
				bad := map[Position][]byte{}
				for q, c := range files {
					bad[q] = c
				}
				bad[p] = slices.Clone(b)
				bad[p][i] ^= flip
				l, err := openFiles(t, bad)
				k := slices.IndexFunc(ps, func(s span) bool { return s.from <= i && i < s.to })
				switch {
				case k < 0: // behind the valid length
					require.NoError(t, err, what)
					require.Equal(t, all, replayed(t, l), what)
				case p == last && k == len(ps)-1:
					torn++
					require.NoError(t, err, what)
					require.Equal(t, all[:len(all)-1], replayed(t, l), what)
				default:
					requireCorrupt(t, err, p, ps[k], what)
				}
			}
		}
	}
	require.NotZero(t, torn)
}

// TestEveryLength cuts each file at each length, and zeroes it from there. Only the last group may be missing without complaint: a header is on
// disk before its file has a name, so a short one is damage, whatever it was that made it short.
func TestEveryLength(t *testing.T) {
	files := smallLog(t)
	l, err := openFiles(t, files)
	require.NoError(t, err)
	for _, s := range l.Segments() {
		p := Position{s.Generation, s.Seq}
		b := files[p]
		ps := parts(t, b, int(s.Bytes))
		last := p == Position{2, 0}
		for n := range int(s.Bytes) {
			for _, zero := range []bool{false, true} {
				what := fmt.Sprintf("%v cut at %d, zeroes behind %v", p, n, zero)
				bad := map[Position][]byte{}
				for q, c := range files {
					bad[q] = c
				}
				bad[p] = slices.Clone(b[:n])
				if zero {
					bad[p] = append(bad[p], make([]byte, len(b)-n)...)
				}
				l, err := openFiles(t, bad)
				if !last || n < ps[0].to {
					require.ErrorIs(t, err, model.ErrCorrupt, what)
					require.ErrorContains(t, err, localPath(p.Generation, p.Seq), what)
					continue
				}
				require.NoError(t, err, what)
				want := []int{1, 2, 3}
				for i, part := range ps[1:] {
					if part.to <= n {
						want = append(want, 5+i)
					}
				}
				require.Equal(t, want, replayed(t, l), what)
				require.EqualValues(t, 2, l.Generation(), what)
			}
		}
	}
}

// TestMissingFiles: a hole in the log is damage.
func TestMissingFiles(t *testing.T) {
	for _, hole := range []Position{{1, 0}, {1, 1}, {1, 2}} {
		files := smallLog(t)
		delete(files, hole)
		_, err := openFiles(t, files)
		require.ErrorIs(t, err, model.ErrCorrupt)
		if hole.Seq < 2 {
			require.ErrorContains(t, err, localPath(hole.Generation, hole.Seq))
		}
	}
	files := smallLog(t)
	files[Position{3, 0}] = files[Position{2, 0}]
	_, err := openFiles(t, files)
	require.ErrorIs(t, err, model.ErrCorrupt, "a segment in another's place")
}

// TestDamageAfterOpen: a segment that goes bad while the log is open is neither replayed nor shipped.
func TestDamageAfterOpen(t *testing.T) {
	fsys := memfs.New()
	l := open(t, fsys)
	require.NoError(t, put(l, "a", 1))
	require.NoError(t, l.EndGeneration())
	b := mustRead(t, fsys, localPath(1, 0))
	b[len(b)/2] ^= 1
	writeFile(t, fsys, localPath(1, 0), b)
	_, err := l.ReadSegment(1, 0)
	require.ErrorIs(t, err, model.ErrCorrupt)
	require.ErrorIs(t, l.Replay(t.Context(), 1, 0, func(Record) error { return errors.New("garbage") }), model.ErrCorrupt)
	writeFile(t, fsys, localPath(1, 0), b[:10])
	_, err = l.ReadSegment(1, 0)
	require.ErrorIs(t, err, model.ErrCorrupt)
}

// TestNewerVersion: nothing is repaired or dropped in a log that a newer program wrote.
func TestNewerVersion(t *testing.T) {
	files := smallLog(t)
	b := slices.Clone(files[Position{2, 0}])
	h, err := parseHeader(b)
	require.NoError(t, err)
	le.PutUint16(b[8:], version+1)
	le.PutUint32(b[h.length-4:], checksum(b[:h.length-4]))
	files[Position{2, 0}] = b
	_, err = openFiles(t, files)
	require.ErrorIs(t, err, model.ErrVersion)
	require.NotErrorIs(t, err, model.ErrCorrupt)
	require.ErrorContains(t, err, localPath(2, 0))
	_, err = ParseSegment(b, &ParseOptions{Name: "w/x"})
	require.ErrorIs(t, err, model.ErrVersion)
}
