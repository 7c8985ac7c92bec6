package ingester

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

var rewrite = flag.Bool("golden", false, "rewrite the golden files")

func goldenWriter() *writerFile {
	return &writerFile{
		ID: "00112233445566778899", Next: "aabbccddeeff00112233", Registered: true, Shipping: true, Floor: 42,
		Shipped: []shippedGeneration{{Writer: "00112233445566778899", Generation: 41, Segments: 7, ReleasedMs: 1714564800000}},
	}
}

func goldenManifest() *manifest {
	return &manifest{Blocks: []manifestBlock{{Tenant: "default", Day: 19844, ID: "3fjj5uf9rq4rfij31v3sst6ajc", Attempt: 1, Size: 399, CRC: 0xdeadbeef}}}
}

// TestGolden: files of version 1 are read for ever, and written as they were.
func TestGolden(t *testing.T) {
	for _, g := range []struct {
		file, magic string
		want, into  any
	}{
		{"testdata/writer.v1", writerMagic, goldenWriter(), new(writerFile)},
		{"testdata/manifest.v1", manifestMagic, goldenManifest(), new(manifest)},
	} {
		data, err := encodeState(g.magic, g.want)
		if err != nil {
			t.Fatal(err)
		}
		if *rewrite {
			if err := os.WriteFile(g.file, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(g.file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(golden, data) {
			t.Errorf("%s: encoded differently:\n%s", g.file, data)
		}
		if err := decodeState(g.magic, golden, g.into); err != nil || !reflect.DeepEqual(g.into, g.want) {
			t.Errorf("%s: decoded %+v, %v", g.file, g.into, err)
		}
	}
}

func TestStateFileRefusals(t *testing.T) {
	good, err := encodeState(writerMagic, goldenWriter())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data string
		want error
	}{
		{"empty", "", model.ErrCorrupt},
		{"another file", strings.Replace(string(good), writerMagic, "varve-wrong", 1), model.ErrCorrupt},
		{"newer", strings.Replace(string(good), " 1\n", " 2\n", 1), model.ErrVersion},
		{"cut", string(good[:len(good)-5]), model.ErrCorrupt},
		{"flipped", strings.Replace(string(good), "42", "43", 1), model.ErrCorrupt},
	} {
		if err := decodeState(writerMagic, []byte(c.data), new(writerFile)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	unknown, err := encodeState(writerMagic, map[string]any{"id": "x", "new_field": 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := decodeState(writerMagic, unknown, new(writerFile)); !errors.Is(err, model.ErrCorrupt) {
		t.Errorf("unknown field: %v, want corrupt", err)
	}
}

// TestWriterFileCrash: at every crash the file is the old one or the new one.
func TestWriterFileCrash(t *testing.T) {
	for n := 1; ; n++ {
		fsys := memfs.New()
		if err := fsys.MkdirAll("data"); err != nil {
			t.Fatal(err)
		}
		first, err := loadWriterFile(fsys, "data", seedReader(1))
		if err != nil {
			t.Fatal(err)
		}
		fsys.SetHook(memfs.At(n, memfs.ErrCrashed))
		next := first.clone()
		next.Floor = 9
		err = writeState(fsys, writerPath("data"), writerMagic, next)
		if fsys.Calls() < n {
			break
		}
		got, rerr := loadWriterFile(fsys.Crash(nil), "data", seedReader(2))
		if rerr != nil || got.ID != first.ID || got.Floor == 9 && err != nil && n < 4 {
			t.Fatalf("crash at call %d: %+v, %v", n, got, rerr)
		}
	}
	if err := readState(memfs.New(), "nowhere", writerMagic, new(writerFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func FuzzStateFile(f *testing.F) {
	for _, v := range []any{goldenWriter(), goldenManifest()} {
		data, err := encodeState(writerMagic, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var w writerFile
		if err := decodeState(writerMagic, data, &w); err != nil {
			if !errors.Is(err, model.ErrCorrupt) && !errors.Is(err, model.ErrVersion) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		again, err := encodeState(writerMagic, &w)
		if err != nil {
			t.Fatal(err)
		}
		var w2 writerFile
		if err := decodeState(writerMagic, again, &w2); err != nil || !reflect.DeepEqual(w, w2) {
			t.Fatalf("round trip: %+v, %v", w2, err)
		}
	})
}

// TestLostWriterFile: a log whose writer file is gone is reported, and left where it is.
func TestLostWriterFile(t *testing.T) {
	w := newWorld(t, 1)
	fs := memfs.New()
	p := w.process(fs)
	i := w.open(p, config())
	if err := w.send(i, "a", w.batch(0)); err != nil {
		t.Fatal(err)
	}
	if err := i.Abandon(); err != nil {
		t.Fatal(err)
	}
	kept, err := readWhole(fs, "data/writer")
	if err != nil {
		t.Fatal(err)
	}
	if err := fs.Remove("data/writer"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), config(), p.c); !errors.Is(err, model.ErrCorrupt) || !strings.Contains(err.Error(), "data/wal/") {
		t.Fatalf("open: %v, want corrupt and the log's name", err)
	}
	f, err := fs.Create("data/writer")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(kept); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	i = w.open(p, config())
	w.check("after the file came back", w.readBack(p, []string{"a"}, i), false)
}

func readWhole(fsys *memfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
