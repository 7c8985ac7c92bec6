package server

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

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
	// The server says later than the client can see what it takes a connection for; which is idle for longest is certain only after that.
	waitFor(t, d.connections, 1, 0)
	var idle []net.Conn
	for i := range 3 * limit {
		c := dial()
		_, err := fmt.Fprint(c, "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		idle = append(idle, c)
		waitFor(t, d.connections, min(i+2, limit), min(i+1, limit-1))
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

// waitFor waits until there are so many connections, and so many of them idle.
func waitFor(t *testing.T, c *connections, all, idle int) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.all) == all && c.idle.Len() == idle
	}, 10*time.Second, 100*time.Microsecond)
}
