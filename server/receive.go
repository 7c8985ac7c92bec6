package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// receive reads and decodes the body. The memory of all writes together is bounded: that of bodies grows with what has
// arrived, so that slow senders hold little; that of decoding is admitted by what the body declares, when all of it is there.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, version remotewrite.Version) (req *remotewrite.Request, leave func(), err error) {
	body := &arrivingBody{room: reservation{a: s.arriving}}
	defer body.free()
	declared, err := s.receiveBody(w, r, body)
	if err != nil {
		return nil, nil, err
	}
	// The decoded message, and the arrays of samples and series that are made of it.
	admitted := &reservation{a: s.admission}
	if err := admitted.grow(r.Context(), 2*declared); err != nil {
		return nil, nil, err
	}
	if version == remotewrite.V2 {
		// What its symbols are made to is in nothing that the body declares.
		req, err = s.decoder.DecodeV2(body.bytes(), func(n int64) error { return admitted.grow(r.Context(), n) })
	} else {
		req, err = s.decoder.Decode(body.bytes())
	}
	if err != nil {
		admitted.free()
		return nil, nil, err
	}
	return req, admitted.free, nil
}

// firstStep is what is reserved for a body at first, arrivingStep by how much that grows.
const (
	firstStep    = 32 << 10
	arrivingStep = 256 << 10
)

// receiveBody reads the body and returns what size it declares to have when decoded.
func (s *Server) receiveBody(w http.ResponseWriter, r *http.Request, body *arrivingBody) (declared int64, err error) {
	defer s.bodyDeadline(w, r.ContentLength)()
	whole, err := body.begin(r.Body)
	if err != nil {
		return 0, fmt.Errorf("read body: %w", err)
	}
	if declared, err = s.decoder.DeclaredSize(body.bytes(), r.ContentLength); err != nil || whole {
		return declared, err
	}
	limit := r.ContentLength
	if limit < 0 {
		// No encoder makes a body twice as large as what is in it.
		limit = min(s.opts.Write.MaxBodyBytes, 2*declared+1024)
	}
	for int64(len(body.bytes())) <= limit {
		step := min(body.step(), limit+1-int64(len(body.bytes())))
		if err := body.room.grow(r.Context(), step); err != nil {
			return 0, err
		}
		n, err := body.read(io.LimitReader(r.Body, step))
		if err != nil {
			return 0, fmt.Errorf("read body: %w", err)
		}
		if n < step {
			return declared, nil
		}
	}
	return 0, fmt.Errorf("the body is longer than the %d bytes that its beginning declares: %w", limit, model.ErrInvalid)
}

// headBytes is how much of a body arrives before any memory is reserved for it: who is slower than that holds a connection and little else.
const headBytes = 4 << 10

// arrivingBody is what has arrived of a body. For one goroutine; free gives its memory back.
type arrivingBody struct {
	room reservation
	head *[headBytes]byte
	n    int           // of head
	rest *bytes.Buffer // all of it, once it is more than head; from small, then from bodies
	more bool          // rest is from bodies
}

// step is how much may be read next.
func (b *arrivingBody) step() int64 {
	if b.rest == nil {
		return firstStep - headBytes - bytes.MinRead
	}
	return arrivingStep
}

// begin reads the first bytes, and reports whether they are all there are.
func (b *arrivingBody) begin(r io.Reader) (whole bool, err error) {
	b.head = heads.Get().(*[headBytes]byte)
	for b.n < headBytes {
		n, err := r.Read(b.head[b.n:])
		b.n += n
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// read appends what r has, a step at most.
func (b *arrivingBody) read(r io.Reader) (int64, error) {
	if b.rest == nil {
		b.rest = small.Get().(*bytes.Buffer)
		b.rest.Reset()
		b.rest.Write(b.head[:b.n])
	} else if !b.more {
		rest := bodies.Get().(*bytes.Buffer)
		rest.Reset()
		rest.Write(b.rest.Bytes())
		small.Put(b.rest)
		b.rest, b.more = rest, true
	}
	return b.rest.ReadFrom(r)
}

func (b *arrivingBody) bytes() []byte {
	if b.rest != nil {
		return b.rest.Bytes()
	}
	return b.head[:b.n]
}

func (b *arrivingBody) free() {
	b.room.free()
	heads.Put(b.head)
	switch {
	case b.rest == nil:
	case !b.more:
		small.Put(b.rest)
	case b.rest.Cap() <= 4<<20: // a larger one is left to the garbage collector
		bodies.Put(b.rest)
	}
}

// heads, small and bodies are memory for bodies, compressed as they come. They are apart so that a body which stalls keeps little.
var (
	heads  = sync.Pool{New: func() any { return new([headBytes]byte) }}
	small  = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, firstStep)) }}
	bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)
