package web

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

func TestPageNamesWhatIsThere(t *testing.T) {
	page := get(t, "/")
	if page.Code != http.StatusOK || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("/ answers %d %s", page.Code, page.Header().Get("Content-Type"))
	}
	if csp := page.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self';") {
		t.Errorf("policy is %q", csp)
	}
	refs := regexp.MustCompile(`(?:src|href)="\./([^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(refs) < 3 {
		t.Fatalf("the page names %d files", len(refs))
	}
	for _, ref := range refs {
		w := get(t, "/"+ref[1])
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s answers %d", ref[1], w.Code)
		}
		if forever := strings.Contains(w.Header().Get("Cache-Control"), "immutable"); forever != strings.HasPrefix(ref[1], "assets/") {
			t.Errorf("%s has Cache-Control %q", ref[1], w.Header().Get("Cache-Control"))
		}
	}
}

func TestOtherPathsGoOn(t *testing.T) {
	for _, target := range []string{"/assets/none.js", "/dist/index.html", "/../web.go", "/api/v1/query"} {
		if w := get(t, target); w.Code != http.StatusNotFound {
			t.Errorf("%s answers %d", target, w.Code)
		}
	}
}
