// Package web is the page at / of a Varve server: a PromQL editor with graph and table, what a query cost at the bucket, the catalog, and
// where the series are. It is static: all it shows comes from the HTTP API below the same address.
//
// The sources are in ui (TypeScript, built with Vite by make web); what is built of them lies in dist and is committed, so that building
// Varve takes Go alone. CI builds it again and compares.
package web

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed dist
var dist embed.FS

// policy is the page's Content-Security-Policy: scripts and requests go to its own origin alone. Styles are also made by the editor while it runs.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is one file as it is served.
type asset struct {
	data []byte
	kind string
	// forever: the name says what is in it.
	forever bool
}

// Handler serves the page at /, and its files. Anything else is handed to next. Safe for concurrent use.
func Handler(next http.Handler) http.Handler {
	files, err := load(dist)
	if err != nil {
		panic("bug: web: read what is embedded: " + err.Error())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		a, ok := files[name]
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, fmt.Sprintf("method %.20q is not answered here, use GET or HEAD", r.Method), http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", a.kind)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-cache")
		if a.forever {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(a.data))
	})
}

// load reads the files into memory, by name.
func load(from fs.FS) (map[string]asset, error) {
	files := map[string]asset{}
	err := fs.WalkDir(from, "dist", func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(from, at)
		if err != nil {
			return err
		}
		kind := mime.TypeByExtension(path.Ext(at))
		switch path.Ext(at) { // whatever the machine's table says
		case ".js":
			kind = "text/javascript; charset=utf-8"
		case ".css":
			kind = "text/css; charset=utf-8"
		case ".html":
			kind = "text/html; charset=utf-8"
		case ".svg":
			kind = "image/svg+xml"
		}
		name := strings.TrimPrefix(at, "dist/")
		files[name] = asset{data: data, kind: kind, forever: strings.HasPrefix(name, "assets/")}
		return nil
	})
	if err == nil && len(files["index.html"].data) == 0 {
		err = fmt.Errorf("dist/index.html: %w", fs.ErrNotExist)
	}
	return files, err
}
