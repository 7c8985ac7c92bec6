package api

import (
	"log/slog"
	"net/http"
	"sync"

	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// noPaths leaves all but a frame out of the specification that v1.NewAPI makes of itself.
const noPaths = "/none"

// withSpecification answers for the OpenAPI specification, which is made when it is first asked for. It takes 55 ms of CPU time to make, most of the
// time that a process needs to be ready, and v1.NewAPI would make it in any case.
func withSpecification(next http.Handler, version string, log *slog.Logger) http.Handler {
	builder := sync.OnceValue(func() *v1.OpenAPIBuilder { return v1.NewOpenAPIBuilder(v1.OpenAPIOptions{Version: version}, log) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Prefix+"/openapi.yaml" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			builder().ServeOpenAPI(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
