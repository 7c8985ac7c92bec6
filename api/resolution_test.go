package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/query"
)

// TestResolutionParameter: queries hand it on, by GET and by POST, and one that is none is the caller's mistake.
func TestResolutionParameter(t *testing.T) {
	for _, path := range []string{"/query?query=up&time=1000", "/query_range?query=up&start=1000&end=1020&step=10"} {
		for parameter, want := range map[string]query.Resolution{
			"": query.ResolutionDefault, "resolution=": query.ResolutionDefault, "resolution=auto": query.ResolutionAuto,
			"resolution=raw": query.ResolutionRaw, "resolution=5m": query.Resolution5m, "resolution=1h": query.Resolution1h,
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				f, w := &fake{}, httptest.NewRecorder()
				path, form, _ := strings.Cut(path, "?")
				r := httptest.NewRequest(method, Prefix+path+"?"+form+"&"+parameter, nil)
				if method == http.MethodPost {
					r = httptest.NewRequest(method, Prefix+path, strings.NewReader(form+"&"+parameter))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				newHandler(t, f).ServeHTTP(w, r)
				require.Equal(t, http.StatusOK, w.Code, "%s %s: %s", path, parameter, w.Body)
				require.NotEmpty(t, f.contexts)
				for _, ctx := range f.contexts {
					require.Equal(t, want, query.ResolutionOf(ctx), "%s %s", path, parameter)
				}
			}
		}
		for _, bad := range []string{"5", "10m", "AUTO", "raw,5m"} {
			w := httptest.NewRecorder()
			newHandler(t, &fake{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, Prefix+path+"&resolution="+bad, nil))
			require.Equal(t, http.StatusBadRequest, w.Code, bad)
			require.Contains(t, w.Body.String(), `"errorType":"bad_data"`)
			require.Contains(t, w.Body.String(), "resolution")
		}
	}
}
