package server

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConnectionsAreBounded: the one that is idle for longest makes room, one with a request under way does not.
func TestConnectionsAreBounded(t *testing.T) {
	const limit = 3
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := NewDoor(nil)
	d.Limit(limit)
	st := &store{block: make(chan struct{})}
	srv, _ := newServer(t, st, nil)
	d.Open(srv)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx, ln) }()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		return c
	}
	closed := func(c net.Conn) {
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
	}
	body := writeBody(t, oneSeries("a"))
	busy := dial()
	_, err = fmt.Fprintf(busy, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", pathWrite, len(body), body)
	require.NoError(t, err)
	var idle []net.Conn
	for range 3 * limit {
		c := dial()
		_, err := fmt.Fprint(c, "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		idle = append(idle, c)
	}
	for _, c := range idle[:2*limit+1] {
		closed(c)
	}
	close(st.block)
	resp, err := http.ReadResponse(bufio.NewReader(busy), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	for _, c := range append(idle, busy) {
		c.Close()
	}
	stop()
	require.NoError(t, <-served)
}
