package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/query"
)

// TestFederateNames has scrapers of all ages ask for a name that the old forms have no words for.
func TestFederateNames(t *testing.T) {
	st := promqltest.LoadedStorage(t, "load 1m\n  {\"a.b\", \"c.d\"=\"x\", instance=\"i\"} 1\n")
	now := time.Unix(60, 0)
	h, err := New(nil, Components{Engine: query.NewEngine(nil, query.NewParser(), nil, nil), Queryable: st, Parser: query.NewParser(), Now: func() time.Time { return now }})
	require.NoError(t, err)
	const (
		whole       = "# TYPE \"a.b\" untyped\n{\"a.b\",\"c.d\"=\"x\",instance=\"i\"} 1 0\n"
		underscores = "# TYPE a_b untyped\na_b{c_d=\"x\",instance=\"i\"} 1 0\n"
		dots        = "# TYPE a_dot_b untyped\na_dot_b{c_dot_d=\"x\",instance=\"i\"} 1 0\n"
	)
	for accept, want := range map[string]string{
		// Prometheus 3, which speaks OpenMetrics and a later text first, and names the scheme there alone.
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2": whole,
		"application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=underscores;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2": underscores,
		"text/plain;version=1.0.0;escaping=dots": dots,
		"text/plain;version=0.0.4;escaping=dots": dots,
		// Prometheus 2, and whoever does not say.
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": underscores,
		"": underscores,
		"text/plain;version=1.0.0;escaping=nonsense":                                                       underscores,
		"application/openmetrics-text;version=1.0.0;escaping=dots,text/plain;escaping=allow-utf-8;q=0.5":   whole,
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,text/plain;escaping=dots;q=0.5":   dots,
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,text/plain;escaping=values;q=0.5": "# TYPE U__a_2e_b untyped\nU__a_2e_b{U__c_2e_d=\"x\",instance=\"i\"} 1 0\n",
	} {
		r := httptest.NewRequest(http.MethodGet, "/federate?match[]=%7B%22a.b%22%7D", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 200, w.Code)
		require.Equal(t, want, w.Body.String(), accept)
	}
}
