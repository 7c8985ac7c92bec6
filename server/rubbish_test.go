package server

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/cluster/wire"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// Check 8 of the issue: rubbish to every endpoint is a 4xx with a sentence, and the server goes on.
func TestRubbish(t *testing.T) {
	random := []byte("\x1f\x8b\x00\xff\xfe\x80rubbish\x00\n\r")
	good := writeBody(t, oneSeries("a"))
	many := oneSeries("many")
	for i := range 10_000 {
		many.Labels = append(many.Labels, prompb.Label{Name: fmt.Sprintf("l%d", i), Value: "v"})
	}
	oneGiB := append([]byte{0x80, 0x80, 0x80, 0x80, 0x04}, bytes.Repeat([]byte{0}, 100)...)
	for _, tc := range []struct {
		name, method, target string
		body                 []byte
		headers              []string
		status               int
	}{
		{"write: nothing", "POST", pathWrite, nil, nil, 400},
		{"write: random bytes", "POST", pathWrite, random, nil, 400},
		{"write: snappy around rubbish", "POST", pathWrite, snappy.Encode(nil, random), nil, 400},
		{"write: truncated snappy", "POST", pathWrite, good[:len(good)-3], nil, 400},
		{"write: 1 GiB declared", "POST", pathWrite, oneGiB, nil, 413},
		{"write: 64 MiB declared in 100 bytes", "POST", pathWrite, append([]byte{0x80, 0x80, 0x80, 0x20}, make([]byte, 100)...), nil, 400},
		{"write: body over the limit", "POST", pathWrite, make([]byte, 5<<20), nil, 413},
		{"write: 10,000 labels", "POST", pathWrite, writeBody(t, many), nil, 400},
		{"write: 1.0 as 2.0", "POST", pathWrite, good, []string{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 400},
		{"write: 3.0", "POST", pathWrite, good, []string{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v3.Request"}, 415},
		{"write: json", "POST", pathWrite, []byte("{}"), []string{"Content-Type", "application/json"}, 415},
		{"write: gzip", "POST", pathWrite, good, []string{"Content-Encoding", "gzip"}, 415},
		{"write: GET", "GET", pathWrite, nil, nil, 405},
		{"write: odd method", "BREW", pathWrite, nil, nil, 405},
		{"flush: GET", "GET", pathFlush, nil, nil, 405},
		{"flush: large body", "POST", pathFlush, make([]byte, 2<<20), nil, 413},
		{"query: large form", "POST", "/api/v1/query", make([]byte, 2<<20), []string{"Content-Type", "application/x-www-form-urlencoded"}, 413},
		{"query: broken form", "POST", "/api/v1/query", []byte("query=%zz"), []string{"Content-Type", "application/x-www-form-urlencoded"}, 400},
		{"select: random bytes", "POST", wire.Path, random, nil, 400},
		{"select: tenant", "POST", wire.Path, []byte(`{"version":1,"tenant":"../.."}`), nil, 400},
		{"select: large", "POST", wire.Path, make([]byte, 2<<20), nil, 413},
		{"select: GET", "GET", wire.Path, nil, nil, 405},
		{"ready: POST", "POST", "/-/ready", random, nil, 405},
		{"healthy: DELETE", "DELETE", "/-/healthy", random, nil, 405},
		{"metrics: POST", "POST", "/metrics", random, nil, 405},
		{"page: POST", "POST", "/", random, nil, 405},
		{"nothing there", "GET", "/favicon.ico", nil, nil, 404},
		{"push is no alias", "POST", "/api/v1/push/x", good, []string{tenantHeader, "../.."}, 400},
		{"encoded dots", "GET", "/%2e%2e/%2e%2e/etc/passwd", nil, nil, 404},
		{"NUL", "GET", "/%00", nil, nil, 404},
		{"no profiles unless asked", "GET", "/debug/pprof/", nil, nil, 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, _ := newServer(t, &store{}, &Options{Write: remotewrite.Options{MaxBodyBytes: 4 << 20}})
			w := do(srv.Handler(), tc.method, tc.target, tc.body, tc.headers...)
			require.Equal(t, tc.status, w.Code, w.Body)
			require.Greater(t, w.Body.Len(), 15, "a sentence")
			require.Less(t, w.Body.Len(), 2000)
			require.Equal(t, 204, do(srv.Handler(), "POST", pathWrite, good).Code, "and the server goes on")
			require.Zero(t, srv.admission.used.Load())
		})
	}
}
