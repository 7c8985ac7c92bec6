package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/tenant"
)

// write answers POST /api/v1/write: 204 when everything is durable, 400 when single series have permanent faults and 429 when the tenant has
// too many active ones (the others are durable all the same), and what the status table says when nothing of it was acknowledged. In version
// 2.0 the headers say what was written, in all of these cases.
func (s *Server) write(w http.ResponseWriter, r *http.Request) error {
	version, err := remotewrite.Negotiate(r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	if version == remotewrite.V2 {
		writtenHeaders(w, &model.AppendResult{})
	}
	req, leave, err := s.receive(w, r, version)
	if err != nil {
		return err
	}
	defer leave()
	defer req.Release()
	s.metrics.received(req)
	name := tenant.FromContext(r.Context())
	var result model.AppendResult
	if !req.Batch.Empty() {
		if result, err = s.c.Appender.Append(r.Context(), name, &req.Batch); err != nil {
			return err
		}
	}
	result.Rejected = append(req.Rejected, result.Rejected...)
	result.RejectedSamples += req.RejectedSamples
	s.metrics.stored(result)
	s.metrics.refused(req.Reasons)
	if version == remotewrite.V2 {
		writtenHeaders(w, &result)
	}
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

// writtenHeaders are those of version 2.0. A receiver of 1.0 says nothing of the kind, and senders of 1.0 would take them for one of 2.0.
func writtenHeaders(w http.ResponseWriter, r *model.AppendResult) {
	h := w.Header()
	h.Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(r.Samples))
	h.Set("X-Prometheus-Remote-Write-Histograms-Written", strconv.Itoa(r.Histograms))
	h.Set("X-Prometheus-Remote-Write-Exemplars-Written", strconv.Itoa(r.Exemplars))
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
