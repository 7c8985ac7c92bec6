package blocks

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// stream reads a section of a block from its start to its end, page by page. It fetches a window at a time, and the next window while
// the last one is used, so that it holds two windows and one page at most. Not safe for concurrent use.
type stream struct {
	r      RangeReader
	key    string
	window int64
	// sequential fetches in the caller's goroutine, and only what is needed at once.
	sequential bool

	off  int64  // of the object, where have begins
	have []byte // fetched and not yet taken
	next int64  // what is fetched next, or is on its way, begins here
	end  int64
	// ahead gives the window that is on its way; nil if none is.
	ahead chan fetchedWindow
}

type fetchedWindow struct {
	data []byte
	err  error
}

// done reports whether the whole section was taken.
func (s *stream) done() bool { return s.off == s.end }

// page returns the stored page at the stream's place and moves behind it. It stays valid.
func (s *stream) page(ctx context.Context) ([]byte, error) {
	head, err := s.peek(ctx, page.HeadSize)
	if err != nil {
		return nil, err
	}
	n, err := page.Stored(head)
	if err != nil {
		return nil, corruptAt(s.key, s.off, err)
	}
	b, err := s.peek(ctx, n)
	if err != nil {
		return nil, err
	}
	s.have = s.have[n:]
	s.off += int64(n)
	return b, nil
}

// peek returns the next n bytes.
func (s *stream) peek(ctx context.Context, n int) ([]byte, error) {
	if int64(n) > s.end-s.off {
		return nil, corruptAt(s.key, s.off, fmt.Errorf("%d bytes wanted, the section has %d more: %w", n, s.end-s.off, model.ErrCorrupt))
	}
	for len(s.have) < n {
		more, err := s.fetch(ctx, int64(n-len(s.have)))
		if err != nil {
			return nil, err
		}
		if len(s.have) == 0 {
			s.have = more
		} else {
			s.have = append(append(make([]byte, 0, len(s.have)+len(more)), s.have...), more...)
		}
	}
	return s.have[:n:n], nil
}

// fetch returns the next window, which it makes as long as need if that is more, and sends for the one after it.
func (s *stream) fetch(ctx context.Context, need int64) ([]byte, error) {
	if s.ahead == nil {
		s.send(ctx, need)
	}
	w := <-s.ahead
	s.ahead = nil
	if w.err != nil {
		return nil, w.err
	}
	s.prefetch(ctx)
	return w.data, nil
}

// prefetch sends for the next window, if there is one and none is on its way.
func (s *stream) prefetch(ctx context.Context) {
	if s.next < s.end && s.ahead == nil && !s.sequential {
		s.send(ctx, 0)
	}
}

// send begins to fetch a window.
func (s *stream) send(ctx context.Context, need int64) {
	rg := blob.Range{Offset: s.next, Length: min(max(s.window, need), s.end-s.next)}
	s.next += rg.Length
	ahead := make(chan fetchedWindow, 1)
	s.ahead = ahead
	get := func() {
		b, err := readOne(ctx, s.r, s.key, rg)
		ahead <- fetchedWindow{b, err}
	}
	if s.sequential {
		get()
		return
	}
	go get()
}

// close waits for what is on its way.
func (s *stream) close() {
	if s.ahead != nil {
		<-s.ahead
		s.ahead = nil
	}
}
