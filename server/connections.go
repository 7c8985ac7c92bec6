package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// connections bounds how many there are: each costs some 30 KiB, whether it says anything or not. When there are too many, the one that
// has been idle for longest is closed; if all others are in the middle of a request, that is the new one. Senders make a new one then. Safe
// for concurrent use.
type connections struct {
	limit int

	mu   sync.Mutex                 // guards the rest
	idle list.List                  // of net.Conn, those that wait for a request; the first one for longest
	all  map[net.Conn]*list.Element // nil while there is a request
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, all: map[net.Conn]*list.Element{}}
}

// changed is an http.Server's ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	if drop := c.note(conn, state); drop != nil {
		_ = drop.Close() // its goroutine finds out
	}
}

// note enters the new state, and returns a connection to be closed.
func (c *connections) note(conn net.Conn, state http.ConnState) (drop net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, known := c.all[conn]
	if at != nil {
		c.idle.Remove(at)
	}
	switch {
	case state == http.StateNew, state == http.StateIdle && known:
		c.all[conn] = c.idle.PushBack(conn)
	case state == http.StateActive && known:
		c.all[conn] = nil
	default:
		delete(c.all, conn)
	}
	if len(c.all) <= c.limit || c.idle.Len() == 0 {
		return nil
	}
	drop = c.idle.Remove(c.idle.Front()).(net.Conn)
	delete(c.all, drop)
	return drop
}
