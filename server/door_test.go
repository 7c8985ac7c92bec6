package server

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDoorAnswersBeforeThereIsAServer(t *testing.T) {
	d := NewDoor(nil)
	for _, path := range []string{pathWrite, "/api/v1/query?query=up", pathFlush, "/metrics", "/"} {
		w := do(d, "POST", path, writeBody(t, oneSeries("a")))
		require.Equal(t, http.StatusServiceUnavailable, w.Code, path)
		require.NotEmpty(t, w.Header().Get("Retry-After"), path)
		require.Contains(t, w.Body.String(), "reads its log")
	}
	require.True(t, json.Valid(do(d, "GET", "/api/v1/query?query=up", nil).Body.Bytes()))
	require.Equal(t, http.StatusOK, do(d, "GET", "/-/healthy", nil).Code)
	w := do(d, "GET", "/-/ready", nil)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.JSONEq(t, `{"ready":false,"checks":[{"name":"running","ok":false,"reason":"the server is starting and reads its log, send again later"}]}`, w.Body.String())

	srv, _ := newServer(t, &store{}, nil)
	d.Open(srv)
	require.Equal(t, http.StatusNoContent, do(d, "POST", pathWrite, writeBody(t, oneSeries("a"))).Code)
	require.Equal(t, http.StatusOK, do(d, "GET", "/-/ready", nil).Code)
}

func TestDoorEndsThoughItWasNeverOpened(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- NewDoor(nil).Serve(ctx, ln) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/-/ready")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	stop()
	require.NoError(t, <-served)
}
