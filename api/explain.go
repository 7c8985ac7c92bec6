package api

import (
	"encoding/json"
	"net/http"

	"github.com/varvedb/varve/query"
)

// ExplainHeader carries a query.Explain as JSON in the answer to a request with explain=true. It is a header and no field of the
// body because it also comes with errors and leaves the body, compressed or not, as Prometheus' handlers made it. An answer that
// is streamed while it is read (remote read) has it a second time, in the trailer, with the final counts.
const ExplainHeader = "X-Varve-Explain"

// explained adds ExplainHeader to an answer when it begins, which is after the query has ended.
type explained struct {
	http.ResponseWriter
	account *query.Account
	begun   bool
	told    query.Explain // by the header
}

func (e *explained) begin() {
	if e.begun {
		return
	}
	e.begun = true
	e.tell(ExplainHeader)
}

// end is to be called when the answer is complete.
func (e *explained) end() {
	if !e.begun {
		e.begin() // an answer without a body
	} else if e.account.Explain() != e.told {
		e.tell(http.TrailerPrefix + ExplainHeader)
	}
}

func (e *explained) tell(header string) {
	e.told = e.account.Explain()
	if b, err := json.Marshal(e.told); err == nil {
		e.Header().Set(header, string(b))
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
