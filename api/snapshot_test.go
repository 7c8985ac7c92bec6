package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/query"
)

// TestSnapshotParameter: every endpoint that reads hands the name on, and a name that cannot be one is the caller's mistake.
func TestSnapshotParameter(t *testing.T) {
	for _, path := range []string{"/query?query=up&time=1000", "/query_range?query=up&start=1000&end=1020&step=10", "/labels", "/label/job/values", "/series?match[]=up"} {
		for parameter, want := range map[string]string{"": "", "&snapshot=a-b_1": "a-b_1"} {
			f := &fake{}
			w := httptest.NewRecorder()
			sep := "&"
			if path == "/labels" || path == "/label/job/values" {
				sep = "?"
			}
			url := Prefix + path
			if parameter != "" {
				url += sep + parameter[1:]
			}
			newHandler(t, f).ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
			require.Equal(t, http.StatusOK, w.Code, "%s: %s", url, w.Body)
			require.NotEmpty(t, f.contexts)
			for _, ctx := range f.contexts {
				require.Equal(t, want, query.SnapshotOf(ctx), url)
			}
		}
	}
	for _, bad := range []string{"", "../x", "a%20b"} {
		w := httptest.NewRecorder()
		newHandler(t, &fake{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, Prefix+"/query?query=up&snapshot="+bad, nil))
		require.Equal(t, http.StatusBadRequest, w.Code, bad)
		require.Contains(t, w.Body.String(), "snapshot")
	}
}
