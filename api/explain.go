package api

import (
	"encoding/json"
	"net/http"

	"github.com/varvedb/varve/query"
)

// ExplainHeader carries a query.Explain as JSON in the answer to a request with explain=true. It is a header and no field of the
// body because it also comes with errors and leaves the body, compressed or not, as Prometheus' handlers made it.
const ExplainHeader = "X-Varve-Explain"

// explained adds ExplainHeader to an answer when it begins, which is after the query has ended.
type explained struct {
	http.ResponseWriter
	account *query.Account
	begun   bool
}

func (e *explained) begin() {
	if e.begun {
		return
	}
	e.begun = true
	if b, err := json.Marshal(e.account.Explain()); err == nil {
		e.Header().Set(ExplainHeader, string(b))
	}
}

// WriteHeader implements http.ResponseWriter.
func (e *explained) WriteHeader(status int) {
	e.begin()
	e.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (e *explained) Write(b []byte) (int, error) {
	e.begin()
	return e.ResponseWriter.Write(b)
}

// Flush sends what was written, for streamed remote reads.
func (e *explained) Flush() {
	e.begin()
	_ = http.NewResponseController(e.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (e *explained) Unwrap() http.ResponseWriter { return e.ResponseWriter }
