package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSlowSendersKeepNobodyOut: bodies that claim to be large and do not arrive hold next to nothing of the budget.
func TestSlowSendersKeepNobodyOut(t *testing.T) {
	srv, _ := newServer(t, &store{}, &Options{MaxInFlightBytes: 64 << 20, QueueTimeout: time.Minute})
	hs := httptest.NewServer(srv.Handler())
	defer hs.Close()
	const slow = 40
	for k := range 2 * slow {
		// Half of them have not sent enough for any memory to be reserved.
		sent := 10
		if k%2 == 0 {
			sent = headBytes
		}
		c, err := net.Dial("tcp", hs.Listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", pathWrite, 30<<20,
			append(binary.AppendUvarint(nil, 120<<20), make([]byte, sent)...))
		require.NoError(t, err)
	}
	for srv.arriving.used.Load() < slow*(firstStep-headBytes-bytes.MinRead) {
		select {
		case <-t.Context().Done():
			return
		default:
		}
	}
	resp, err := http.Post(hs.URL+pathWrite, "", bytes.NewReader(writeBody(t, oneSeries("a"))))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Zero(t, srv.admission.used.Load())
	require.Zero(t, srv.arriving.waiting.Load()+srv.admission.waiting.Load())
}

// TestBodiesLargerThanTheirBudget: a request that needs more than there is altogether gets all of it, and passes.
func TestBodiesLargerThanTheirBudget(t *testing.T) {
	st := &store{}
	srv, _ := newServer(t, st, &Options{MaxInFlightBytes: 8, QueueTimeout: 1})
	w := do(srv.Handler(), "POST", pathWrite, writeBody(t, oneSeries("a")))
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	require.Zero(t, srv.arriving.used.Load())
	require.Zero(t, srv.admission.used.Load())
}
