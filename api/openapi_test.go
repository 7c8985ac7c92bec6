package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSpecification: it is whole, though it is made late.
func TestSpecification(t *testing.T) {
	h := newHandler(t, &fake{})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/openapi.yaml", http.NoBody))
	if body := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(body, "/query_range:") || !strings.Contains(body, "/label/{name}/values:") {
		t.Errorf("status %d, %d bytes", w.Code, len(body))
	}
}
