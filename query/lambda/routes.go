package lambda

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/varvedb/varve/api"
	"github.com/varvedb/varve/tenant"
)

// tenantHeader names the tenant of a request, as it does for a server.
const tenantHeader = "X-Scope-Orgid"

// routes mounts what there is: the API for reading, and what load balancers and people ask for.
func (f *Function) routes(read http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case writes(path):
			w.Header().Set("Allow", "")
			respond(w, http.StatusMethodNotAllowed, "bad_data", fmt.Sprintf("%.100q changes something, and this is a querier on AWS Lambda that only reads; send it to a server (varve serve)", path))
		case strings.HasPrefix(path, api.Prefix+"/"), path == api.FederatePath:
			f.withTenant(w, r, read)
		case path == "/", path == "/-/healthy", path == "/-/ready":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = fmt.Fprintf(w, "Varve %s, a querier on AWS Lambda. The API is below %s/.\n", f.cfg.Version, api.Prefix)
		default:
			respond(w, http.StatusNotFound, "not_found", fmt.Sprintf("nothing is at %.100q; the API is below %s/", path, api.Prefix))
		}
	})
}

// writes reports whether the path is one that a server takes data or orders at.
func writes(path string) bool {
	rest, ok := strings.CutPrefix(path, api.Prefix+"/")
	if !ok {
		return false
	}
	first, _, _ := strings.Cut(rest, "/")
	switch first {
	case "write", "otlp", "import", "admin":
		return true
	}
	return false
}

// withTenant puts the tenant of the request into its context.
func (f *Function) withTenant(w http.ResponseWriter, r *http.Request, next http.Handler) {
	name, named := f.cfg.Tenant, r.Header.Get(tenantHeader)
	switch {
	case name != "" && named != "" && named != name:
		respond(w, http.StatusForbidden, "bad_data", fmt.Sprintf("header X-Scope-OrgID names tenant %.80q; this function answers for another one only", named))
		return
	case name == "" && named != "":
		if err := tenant.Check(named); err != nil {
			respond(w, http.StatusBadRequest, "bad_data", "header X-Scope-OrgID: "+api.Sentence(err))
			return
		}
		name = named
	case name == "":
		name = tenant.Default
	}
	next.ServeHTTP(w, r.WithContext(tenant.NewContext(r.Context(), name)))
}
