// Package blobtest is the suite that every kind of bucket passes, whatever is
// below it: the same calls, the same answers, the same errors.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// Options are for Run; nil means all defaults.
type Options struct {
	// Rounds is how many rounds the racing writers run. Default 25.
	Rounds int
	// Listed is how many objects the test of paging lists. Default 100; set it above the page of the store.
	Listed int
	// PartBytes is the size of the parts of uploads, as the buckets have it. Default blob.PartBytes.
	PartBytes int
	// NoTimes is for stores that keep no times of modification.
	NoTimes bool
}

// racers is how many writers race for one object.
const racers = 16

// Run runs the suite. open returns a bucket to work in; the suite closes it, and calls open
// anew for each test. The buckets may share their objects: each test works under keys of its own.
func Run(t *testing.T, open func(t *testing.T) *blob.Bucket, opts *Options) {
	t.Helper()
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Rounds == 0 {
		o.Rounds = 25
	}
	if o.PartBytes == 0 {
		o.PartBytes = blob.PartBytes
	}
	if o.Listed == 0 {
		o.Listed = 100
	}
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"whole objects", (*suite).wholeObjects},
		{"ranges", (*suite).ranges},
		{"many ranges", (*suite).manyRanges},
		{"conditional get", (*suite).conditionalGet},
		{"create if absent", (*suite).createIfAbsent},
		{"compare and swap", (*suite).compareAndSwap},
		{"race to create", (*suite).raceToCreate},
		{"race to swap", (*suite).raceToSwap},
		{"missing", (*suite).missing},
		{"delete", (*suite).delete},
		{"list", (*suite).list},
		{"odd keys", (*suite).oddKeys},
		{"big object", (*suite).bigObject},
		{"uploads", (*suite).uploads},
		{"aborted uploads", (*suite).abortedUploads},
		{"race to upload", (*suite).raceToUpload},
		{"probe", (*suite).probe},
		{"cancelled", (*suite).cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t)
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.run(&suite{T: t, Options: o, b: b, ctx: t.Context(), dir: fmt.Sprintf("blobtest/%016x/", rand.Uint64())})
		})
	}
}

type suite struct {
	*testing.T
	Options
	b   *blob.Bucket
	ctx context.Context // of the running test
	dir string
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) wantKind(err, kind error, what string) {
	s.Helper()
	if !errors.Is(err, kind) {
		s.Fatalf("%s: got error %v, want kind %q", what, err, kind)
	}
}

func (s *suite) put(key, data string) blob.Version {
	s.Helper()
	v, err := s.b.Put(s.ctx, key, []byte(data))
	s.must(err)
	if v == "" {
		s.Fatal("a write gave no version")
	}
	return v
}

func (s *suite) wantContent(key, want string, version blob.Version) {
	s.Helper()
	got, v, err := s.b.Get(s.ctx, key)
	s.must(err)
	if string(got) != want {
		s.Fatalf("%s holds %.40q, want %.40q", key, got, want)
	}
	if v != version {
		s.Fatalf("%s is at version %q, want %q", key, v, version)
	}
}

func (s *suite) wholeObjects() {
	key := s.dir + "tenant=a/day=2026-01-02/x_1.vb"
	v1 := s.put(key, "one")
	s.wantContent(key, "one", v1)
	v2 := s.put(key, "two, longer")
	if v1 == v2 {
		s.Fatal("the version did not change with the content")
	}
	s.wantContent(key, "two, longer", v2)
	s.wantContent(s.dir+"empty", "", s.put(s.dir+"empty", ""))
}

func (s *suite) ranges() {
	key := s.dir + "digits"
	s.put(key, "0123456789")
	for _, c := range []struct {
		off, n int64
		want   string
		kind   error
	}{
		{0, 10, "0123456789", nil},
		{0, 1, "0", nil},
		{3, 4, "3456", nil},
		{9, 1, "9", nil},
		{5, 0, "", nil},
		{10, 0, "", nil},
		{5, 6, "", model.ErrCorrupt},
		{10, 1, "", model.ErrCorrupt},
		{500, 1, "", model.ErrCorrupt},
		{0, 1 << 40, "", model.ErrCorrupt},
		{-1, 1, "", model.ErrInvalid},
		{0, -1, "", model.ErrInvalid},
		{1 << 62, 1 << 62, "", model.ErrInvalid},
	} {
		what := fmt.Sprintf("%d bytes at %d", c.n, c.off)
		got, err := s.b.GetRange(s.ctx, key, c.off, c.n)
		if c.kind != nil {
			s.wantKind(err, c.kind, what)
			continue
		}
		s.must(err)
		if string(got) != c.want {
			s.Errorf("%s: got %q, want %q", what, got, c.want)
		}
	}
}

func at(off, n int64) blob.Range { return blob.Range{Offset: off, Length: n} }

func (s *suite) manyRanges() {
	key := s.dir + "big"
	data := noise(1 << 20)
	s.put(key, string(data))
	ranges := []blob.Range{at(900_000, 1000), at(0, 10), at(100, 200), at(150, 50), at(500_000, 0), at(300_000, 100_000), at(1<<20-5, 5)}
	got, err := s.b.ReadRanges(s.ctx, key, ranges, nil)
	s.must(err)
	for i, r := range ranges {
		if !bytes.Equal(got[i], data[r.Offset:r.Offset+r.Length]) {
			s.Errorf("range %d, %d bytes at %d: other bytes", i, r.Length, r.Offset)
		}
	}
	_, err = s.b.ReadRanges(s.ctx, key, []blob.Range{at(0, 1), at(1<<20, 1)}, nil)
	s.wantKind(err, model.ErrCorrupt, "a range at the end")
}

func (s *suite) missing() {
	key := s.dir + "nothing/here"
	_, _, err := s.b.Get(s.ctx, key)
	s.wantKind(err, model.ErrNotFound, "get")
	if blob.IsDenied(err) {
		s.Errorf("a missing object is denied: %v", err)
	}
	if !strings.Contains(err.Error(), key) {
		s.Errorf("the error %q does not name the key", err)
	}
	_, err = s.b.GetRange(s.ctx, key, 3, 4)
	s.wantKind(err, model.ErrNotFound, "get range")
	_, err = s.b.ReadRanges(s.ctx, key, []blob.Range{at(0, 1), at(1<<30, 1)}, nil)
	s.wantKind(err, model.ErrNotFound, "read ranges")
}

func (s *suite) delete() {
	s.must(s.b.Delete(s.ctx))
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("%sd%d/x", s.dir, i%3)+fmt.Sprint(i))
		s.put(keys[i], "x")
	}
	s.must(s.b.Delete(s.ctx, keys[0]))
	s.must(s.b.Delete(s.ctx, keys[0]))
	s.must(s.b.Delete(s.ctx, keys[:15]...)) // one of them missing
	if got := s.listed(s.dir); len(got) != 5 {
		s.Errorf("after the deletes there are %q, want 5 objects", got)
	}
}

func (s *suite) listed(prefix string) []string {
	s.Helper()
	var keys []string
	for o, err := range s.b.List(s.ctx, prefix) {
		s.must(err)
		keys = append(keys, o.Key)
	}
	return keys
}

func (s *suite) list() {
	// In the order of listings: "-" and "." sort before "/", digits behind it.
	want := []string{"a-b", "a.b", "a/1", "a/2/x", "a/2/y", "a0", "b"}
	for _, k := range want {
		s.put(s.dir+k, k)
	}
	for _, c := range []struct {
		prefix string
		want   []string
	}{
		{"", want},
		{"a", want[:6]},
		{"a/", want[2:5]},
		{"a/2", want[3:5]},
		{"a/2/", want[3:5]},
		{"a/2/x", want[3:4]},
		{"c", nil},
	} {
		var got []string
		for _, k := range s.listed(s.dir + c.prefix) {
			got = append(got, strings.TrimPrefix(k, s.dir))
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			s.Errorf("list %q: got %q, want %q", c.prefix, got, c.want)
		}
	}
	for o, err := range s.b.List(s.ctx, s.dir+"a/1") {
		s.must(err)
		if o.Size != 3 || o.Modified.IsZero() && !s.NoTimes {
			s.Errorf("object %+v, want 3 bytes and a time", o)
		}
	}
	for _, err := range s.b.List(s.ctx, s.dir) {
		s.must(err)
		break // may be left early
	}
	s.pages()
}

func (s *suite) pages() {
	var g errgroup.Group
	g.SetLimit(racers)
	for i := range s.Listed {
		g.Go(func() error {
			_, err := s.b.Put(s.ctx, fmt.Sprintf("%spages/%05d", s.dir, i), nil)
			return err
		})
	}
	s.must(g.Wait())
	got := s.listed(s.dir + "pages/")
	if len(got) != s.Listed {
		s.Fatalf("listed %d objects, want %d", len(got), s.Listed)
	}
	for i, k := range got {
		if want := fmt.Sprintf("%spages/%05d", s.dir, i); k != want {
			s.Fatalf("entry %d is %s, want %s", i, k, want)
		}
	}
	s.must(s.b.Delete(s.ctx, got...))
	if left := s.listed(s.dir + "pages/"); len(left) > 0 {
		s.Errorf("%d objects are left after the delete of all", len(left))
	}
}

// OddKeys are keys that every bucket refuses.
var OddKeys = []string{
	"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "../../etc/passwd", ".hidden", "a/.tmp-1-1", "a.", "a./b",
	"a b", "a\x00b", "a\nb", "ä", "a%2fb", "a?b", "a#b", `a\b`, "a*", "a+b", "a:b", strings.Repeat("x", 256), strings.Repeat("x/", 500) + "x",
}

func (s *suite) oddKeys() {
	for _, key := range OddKeys {
		_, err := s.b.Put(s.ctx, key, []byte("x"))
		s.wantKind(err, model.ErrInvalid, fmt.Sprintf("put %q", key))
		_, _, err = s.b.Get(s.ctx, key)
		s.wantKind(err, model.ErrInvalid, fmt.Sprintf("get %q", key))
		s.wantKind(s.b.Delete(s.ctx, key), model.ErrInvalid, fmt.Sprintf("delete %q", key))
	}
	long := s.dir + strings.Repeat("abc=DEF_1-2.3/", 30) + strings.Repeat("y", 255)
	s.wantContent(long, "long", s.put(long, "long"))
}

func (s *suite) bigObject() {
	key := s.dir + "big.vb"
	data := noise(20 << 20)
	v, err := s.b.PutIfAbsent(s.ctx, key, data)
	s.must(err)
	_, err = s.b.PutIfAbsent(s.ctx, key, data[1:])
	s.wantKind(err, model.ErrConflict, "create of a taken big object")
	data[7]++
	v2, err := s.b.PutIf(s.ctx, key, data, v)
	s.must(err)
	_, err = s.b.PutIf(s.ctx, key, data[1:], v)
	s.wantKind(err, model.ErrConflict, "stale swap of a big object")
	got, gv, err := s.b.Get(s.ctx, key)
	s.must(err)
	if !bytes.Equal(got, data) || gv != v2 {
		s.Fatalf("big object: %d bytes at version %q, want %d at %q, or the bytes differ", len(got), gv, len(data), v2)
	}
}

func (s *suite) probe() {
	s.must(s.b.Probe(s.ctx, "writer-1"))
	s.must(s.b.Probe(s.ctx, "writer-1"))
	s.wantKind(s.b.Probe(s.ctx, "../x"), model.ErrInvalid, "probe of an odd owner")
}

func (s *suite) cancelled() {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	_, _, err := s.b.Get(ctx, s.dir+"x")
	s.wantKind(err, context.Canceled, "get")
	_, err = s.b.Put(ctx, s.dir+"x", nil)
	s.wantKind(err, context.Canceled, "put")
}

// noise returns n bytes that do not compress, the same each time.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return b
}
