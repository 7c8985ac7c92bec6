package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/tenant"
)

// write answers POST /api/v1/write: 204 when everything is durable, 400 when single series have permanent faults and 429 when the tenant has
// too many active ones (the others are durable all the same), and what the status table says when nothing of it was acknowledged.
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
	s.metrics.refused(req.Reasons)
	if result.RejectedSamples > 0 || len(result.Rejected) > 0 {
		status := http.StatusBadRequest
		if result.Reasons[model.ReasonSeries] > 0 {
			// A limit of now: sent again after the next flush, these may be taken, and what is stored already does no harm.
			status = http.StatusTooManyRequests
			w.Header().Set("Retry-After", strconv.Itoa(seriesRetryAfter))
		}
		s.failWith(w, r, status, rejectionText(result))
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// receive reads and decodes the body. The memory of all writes together is bounded: that of bodies grows with what has
// arrived, so that slow senders hold little; that of decoding is admitted by what the body declares, when all of it is there.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) (req *remotewrite.Request, leave func(), err error) {
	buf := bodies.Get().(*bytes.Buffer)
	defer putBody(buf)
	body := &reservation{a: s.arriving}
	defer body.free()
	declared, err := s.receiveBody(w, r, buf, body)
	if err != nil {
		return nil, nil, err
	}
	// The decoded message, and the arrays of samples and series that are made of it.
	admitted, err := s.admission.enter(r.Context(), 2*declared)
	if err != nil {
		return nil, nil, err
	}
	if req, err = s.decoder.Decode(buf.Bytes()); err != nil {
		admitted()
		return nil, nil, err
	}
	return req, admitted, nil
}

// arrivingStep is by how much the reservation of a body grows.
const arrivingStep = 256 << 10

// receiveBody reads the body into buf and returns what size it declares to have when decoded.
func (s *Server) receiveBody(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer, room *reservation) (declared int64, err error) {
	defer s.bodyDeadline(w)()
	buf.Reset()
	if _, err := buf.ReadFrom(io.LimitReader(r.Body, remotewrite.HeaderBytes)); err != nil {
		return 0, fmt.Errorf("read body: %w", err)
	}
	if declared, err = s.decoder.DeclaredSize(buf.Bytes(), r.ContentLength); err != nil {
		return 0, err
	}
	limit := r.ContentLength
	if limit < 0 {
		// No encoder makes a body twice as large as what is in it.
		limit = min(s.opts.Write.MaxBodyBytes, 2*declared+1024)
	}
	for int64(buf.Len()) <= limit {
		step := min(arrivingStep, limit+1-int64(buf.Len()))
		if err := room.grow(r.Context(), step); err != nil {
			return 0, err
		}
		n, err := buf.ReadFrom(io.LimitReader(r.Body, step))
		if err != nil {
			return 0, fmt.Errorf("read body: %w", err)
		}
		if n < step {
			return declared, nil
		}
	}
	return 0, fmt.Errorf("the body is longer than the %d bytes that its beginning declares: %w", limit, model.ErrInvalid)
}

// bodies are buffers for compressed bodies. A large one is left to the garbage collector.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func putBody(b *bytes.Buffer) {
	if b.Cap() <= 4<<20 {
		bodies.Put(b)
	}
}

// seriesRetryAfter is in seconds: the limit on active series lifts with a flush, which is minutes away.
const seriesRetryAfter = 60

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
