package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// TestReasonOfRefusal finds in the log why a query failed, whoever wrote the answer, also where that asked for compression.
func TestReasonOfRefusal(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"envelope": {`{"status":"error","errorType":"execution","error":"read b/1: no route to host"}`, `reason="read b/1: no route to host"`},
		"text":     {"not found\n", `reason="not found"`},
		"long":     {strings.Repeat("x", 100_000), `reason=` + strings.Repeat("x", 300) + "…"},
		"nothing":  {"", `reason=""`},
	} {
		t.Run(name, func(t *testing.T) {
			api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusInternalServerError)
				for b := []byte(c.body); len(b) > 0; b = b[min(len(b), 7):] {
					_, err := w.Write(b[:min(len(b), 7)])
					require.NoError(t, err)
				}
			})
			var log bytes.Buffer
			reg := prometheus.NewRegistry()
			srv := New(nil, Components{Appender: &store{}, API: api, Source: &store{}, Flusher: &store{}, Gatherer: reg, Registerer: reg, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for _, encoding := range []string{"identity", "gzip"} {
				log.Reset()
				w := do(srv.Handler(), http.MethodGet, "/api/v1/query?query=up", nil, "Accept-Encoding", encoding)
				require.Equal(t, http.StatusInternalServerError, w.Code)
				if name != "long" || encoding == "identity" {
					require.Contains(t, log.String(), c.want)
				}
			}
		})
	}
}
