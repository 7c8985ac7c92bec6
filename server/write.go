package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/tenant"
)

// write answers POST /api/v1/write: 204 when everything is durable, 400 when single series have permanent faults (the others are
// durable all the same), and what the status table says when nothing of it was acknowledged.
func (s *Server) write(w http.ResponseWriter, r *http.Request) error {
	if err := remotewrite.Negotiate(r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding")); err != nil {
		return err
	}
	req, leave, err := s.receive(w, r)
	if err != nil {
		return err
	}
	defer leave()
	defer req.Release()
	s.metrics.received(req)
	name := tenant.FromContext(r.Context())
	var result model.AppendResult
	if len(req.Batch.Series) > 0 {
		if result, err = s.c.Appender.Append(r.Context(), name, &req.Batch); err != nil {
			return err
		}
	}
	result.Rejected = append(req.Rejected, result.Rejected...)
	result.RejectedSamples += req.RejectedSamples
	s.metrics.stored(result)
	if result.RejectedSamples > 0 || len(result.Rejected) > 0 {
		text := rejectionText(result)
		s.failWith(w, r, http.StatusBadRequest, text)
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// receive reads and decodes the body. Before more than its first bytes are read, the request has been admitted with
// what it declares, so that the memory of all writes together is bounded.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) (req *remotewrite.Request, leave func(), err error) {
	defer s.bodyDeadline(w)()
	var head [remotewrite.HeaderBytes]byte
	n, err := io.ReadFull(r.Body, head[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, fmt.Errorf("read body: %w", err)
	}
	declared, err := s.decoder.DeclaredSize(head[:n], r.ContentLength)
	if err != nil {
		return nil, nil, err
	}
	limit := r.ContentLength
	if limit < 0 {
		// No encoder makes a body twice as large as what is in it.
		limit = min(s.opts.Write.MaxBodyBytes, 2*declared+1024)
	}
	// The body, the decoded message, and the arrays of samples and series that are made of it.
	admitted, err := s.admission.enter(r.Context(), limit+2*declared)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			admitted()
		}
	}()
	buf := bodies.Get().(*bytes.Buffer)
	defer putBody(buf)
	buf.Reset()
	buf.Write(head[:n])
	if _, err = buf.ReadFrom(io.LimitReader(r.Body, limit-int64(n)+1)); err != nil {
		return nil, nil, fmt.Errorf("read body: %w", err)
	}
	if int64(buf.Len()) > limit {
		return nil, nil, fmt.Errorf("the body is longer than the %d bytes that its beginning declares: %w", limit, model.ErrInvalid)
	}
	if req, err = s.decoder.Decode(buf.Bytes()); err != nil {
		return nil, nil, err
	}
	return req, admitted, nil
}

// bodies are buffers for compressed bodies. A large one is left to the garbage collector.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func putBody(b *bytes.Buffer) {
	if b.Cap() <= 4<<20 {
		bodies.Put(b)
	}
}

// maxListed series are named in the answer.
const maxListed = 10

// rejectionText names the series that were not accepted. Senders show the first line, so it holds the first reason.
func rejectionText(r model.AppendResult) string {
	var b strings.Builder
	stored := r.Samples + r.Histograms
	fmt.Fprintf(&b, "%d of %d samples refused", r.RejectedSamples, r.RejectedSamples+stored)
	if stored > 0 {
		b.WriteString(", the others are stored")
	}
	for i, x := range r.Rejected {
		if i == maxListed {
			break
		}
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "series %s: %s", x.Series, sentence(x.Err))
	}
	return b.String()
}
