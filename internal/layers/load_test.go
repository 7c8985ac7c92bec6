package layers

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A source is one Go file: where it lies, what it is, and what it imports.
type source struct {
	dir     string // slash path below the module's root, "." for the root
	file    string
	pkg     string
	doc     bool
	imports []string
}

func (s source) test() bool { return strings.HasSuffix(s.file, "_test.go") }

// load reads all Go files of the module that begins at root. Folders that the go command ignores and
// folders with a go.mod of their own are no part of it.
func load(root string) ([]source, error) {
	var out []source
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return skipFolder(root, path, e.Name())
		case filepath.Ext(path) != ".go":
			return nil
		}
		s, err := loadFile(root, path)
		if err != nil {
			return err
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load module: %w", err)
	}
	return out, nil
}

func skipFolder(root, path, name string) error {
	if path == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); !errors.Is(err, fs.ErrNotExist) {
		return filepath.SkipDir
	}
	return nil
}

func loadFile(root, path string) (source, error) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return source{}, fmt.Errorf("read imports: %w", err)
	}
	dir, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return source{}, fmt.Errorf("locate %s: %w", path, err)
	}
	s := source{dir: filepath.ToSlash(dir), file: filepath.Base(path), pkg: f.Name.Name, doc: documented(f)}
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, fmt.Errorf("import %s in %s: %w", spec.Path.Value, path, err)
		}
		s.imports = append(s.imports, p)
	}
	return s, nil
}

func documented(f *ast.File) bool { return strings.TrimSpace(f.Doc.Text()) != "" }
