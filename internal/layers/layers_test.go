package layers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the module's root, seen from this folder, which is where tests run.
func root(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("find the module: %v", err)
	}
	return dir
}

func TestHouse(t *testing.T) {
	files, err := load(root(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found %d Go files, so the search is broken", len(files))
	}
	faults, arrows := newHouse().check(files)
	faults = append(faults, comparePairs(pairs(), arrows)...)
	for _, f := range faults {
		t.Error(f)
	}
}

// TestTableIsReal fails for rooms that are in the table and not in the house.
func TestTableIsReal(t *testing.T) {
	for _, r := range append(slices.Concat(lines()...), testRooms()...) {
		if _, err := os.Stat(filepath.Join(root(t), string(r))); err != nil {
			t.Errorf("the table lists %s: %v", r, err)
		}
	}
}

func TestViolationsAreFound(t *testing.T) {
	in := func(dir, file string, imports ...string) source {
		pkg := filepath.Base(dir)
		for i, p := range imports {
			if rel, ok := strings.CutPrefix(p, "./"); ok {
				imports[i] = module + "/" + rel
			}
		}
		return source{dir: dir, file: file, pkg: pkg, doc: true, imports: imports}
	}
	tests := []struct {
		name string
		file source
		want string // part of the one fault; "" if there is none
	}{
		{"down", in("catalog", "a.go", "./blob", "./model"), ""},
		{"own package's sub-folder", in("query", "a.go", "./query/plan"), ""},
		{"up", in("blob", "a.go", "./catalog"), "imports go down"},
		{"up from a sub-folder", in("wal/inner", "a.go", "./ingester"), "imports go down"},
		{"same line", in("wal", "a.go", "./tenant"), "imports go down"},
		{"blob lies below its line", in("cache", "a.go", "./blob"), ""},
		{"worker to worker", in("ingester", "a.go", "./query"), "never import one another"},
		{"worker to worker in a test", in("query", "a_test.go", "./ingester"), ""},
		{"cmd", in("server", "a.go", "./cmd/varve"), "nothing imports cmd"},
		{"cmd in a test", in("server", "a_test.go", "./cmd/varve"), "nothing imports cmd"},
		{"root", in("server", "a.go", module), "only cmd does"},
		{"root in a test", in("query", "a_test.go", module), "only cmd does"},
		{"root in cmd", in("cmd/varve", "a.go", module), ""},
		{"server in root", in(".", "a.go", "./server"), "imports go down"},
		{"test room in product code", in("ingester", "a.go", "./blob/faultblob"), "only tests may"},
		{"test room in a test", in("ingester", "a_test.go", "./blob/faultblob"), ""},
		{"test room imports product", in("internal/sim", "a.go", "./ingester"), ""},
		{"unknown target", in("server", "a.go", "./nowhere"), "not in the table"},
		{"unknown room", in("attic", "a.go"), "in no room"},
		{"flags in a library", in("ingester", "a.go", "flag"), "no library room knows flags"},
		{"flags in cmd", in("cmd/varve", "a.go", "flag", "github.com/spf13/cobra"), ""},
		{"a prefix is no path", in("ingester", "a.go", "flagship"), ""},
		{"cloud SDK outside its driver", in("blob", "a.go", "gocloud.dev/blob"), "reached through blob"},
		{"cloud SDK of another", in("blob/s3", "a.go", "cloud.google.com/go/storage"), "one backend, one room"},
		{"seeded randomness", in("ingester", "a.go", "math/rand/v2"), ""},
		{"global randomness", in("ingester", "a.go", "math/rand"), "comes from outside"},
		{"bad name", in("blob/util", "a.go"), "no name for a package"},
		{"no doc comment", source{dir: "blob", file: "a.go", pkg: "blob"}, "no doc comment"},
		{"documented in its only tests", source{dir: "localstack", file: "a_test.go", pkg: "localstack", doc: true}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			faults, _ := newHouse().check([]source{tt.file})
			switch {
			case tt.want == "" && len(faults) > 0:
				t.Errorf("faults %q, want none", faults)
			case tt.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], tt.want)):
				t.Errorf("faults %q, want one with %q", faults, tt.want)
			}
		})
	}
}

func TestComparePairs(t *testing.T) {
	a, b, c := pair{"query", "blob"}, pair{"query", "model"}, pair{"api", "query"}
	got := comparePairs([]pair{a, b}, []pair{b, c})
	want := []string{
		"api imports query, a new arrow: if it is meant, add it to the list of pairs",
		"query no longer imports blob: strike the pair from the list",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestLoad reads a small module with everything that is to be left out.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":               "module m\n",
		"a/a.go":               "// Package a is here.\npackage a\n\nimport (\n\t\"fmt\"\n\tx \"m/b\"\n)\n",
		"a/tagged.go":          "//go:build never\n\npackage a\n\nimport \"m/c\"\n",
		"a/testdata/broken.go": "not Go",
		".hidden/h.go":         "not Go",
		"tools/go.mod":         "module tools\n",
		"tools/t.go":           "not Go",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []source{
		{dir: "a", file: "a.go", pkg: "a", doc: true, imports: []string{"fmt", "m/b"}},
		{dir: "a", file: "tagged.go", pkg: "a", imports: []string{"m/c"}},
	}
	if !slices.EqualFunc(got, want, func(x, y source) bool {
		return x.dir == y.dir && x.file == y.file && x.pkg == y.pkg && x.doc == y.doc && slices.Equal(x.imports, y.imports)
	}) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
