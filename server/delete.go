package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// Deleter deletes series.
type Deleter interface {
	// DeleteSeries hides the samples in range of the series that one of the selectors matches, and names the writers that could not be asked for
	// what they hold. An id makes a repeated request the same request; "" draws one.
	DeleteSeries(ctx context.Context, tenantName string, match []string, r model.TimeRange, id string) (Deletion, error)
	// CleanTombstones has what was deleted of the tenant removed from the bucket soon, by any worker.
	CleanTombstones(ctx context.Context, tenantName string) error
}

// Deletion is what became of a request to delete.
type Deletion struct {
	ID        string   `json:"id"`
	Unreached []string `json:"unreached,omitempty"`
}

// deletionHeader carries the id of a deletion, for its erasure report.
const deletionHeader = "X-Varve-Deletion"

// deleteSeries answers as Prometheus does, 204 without a body; 202 with one if writers could not be reached.
func (s *Server) deleteSeries(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("parse form: %w: %w", err, model.ErrInvalid)
	}
	match := r.Form["match[]"]
	if len(match) == 0 {
		return fmt.Errorf("no match[] parameter is given: %w", model.ErrInvalid)
	}
	start, err := timeParam(r, "start", model.MinTimeMs)
	if err != nil {
		return err
	}
	end, err := timeParam(r, "end", model.MaxTimeMs)
	if err != nil {
		return err
	}
	if end < start {
		return fmt.Errorf("end is before start: %w", model.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.FlushTimeout)
	defer cancel()
	d, err := s.c.Deleter.DeleteSeries(ctx, tenant.FromContext(ctx), match, model.TimeRange{MinMs: start, MaxMs: end}, r.Form.Get("id"))
	if d.ID != "" {
		w.Header().Set(deletionHeader, d.ID)
	}
	if err != nil {
		return err
	}
	if len(d.Unreached) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	return ignore(json.NewEncoder(w).Encode(struct {
		Status   string   `json:"status"`
		Data     Deletion `json:"data"`
		Warnings []string `json:"warnings"`
	}{"success", d, []string{
		"these writers could not be reached, what they hold in memory is not deleted; repeat the request with the parameter id=" + d.ID + " when they are back or were adopted: " + strings.Join(d.Unreached, ", "),
	}}))
}

// cleanTombstones answers at once; the work is done in the background.
func (s *Server) cleanTombstones(w http.ResponseWriter, r *http.Request) error {
	if err := s.c.Deleter.CleanTombstones(r.Context(), tenant.FromContext(r.Context())); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// timeParam reads a moment as Prometheus' API does, seconds since 1970 or RFC 3339, into ms.
func timeParam(r *http.Request, name string, otherwise int64) (int64, error) {
	text := r.Form.Get(name)
	if text == "" {
		return otherwise, nil
	}
	if sec, err := strconv.ParseFloat(text, 64); err == nil {
		if ms := math.Round(sec * 1000); ms >= float64(model.MinTimeMs) && ms <= float64(model.MaxTimeMs) {
			return int64(ms), nil
		}
		return 0, fmt.Errorf("%s is %.60q, which is no moment between the years 1 and 9999: %w", name, text, model.ErrInvalid)
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, fmt.Errorf("%s is %.60q, want seconds since 1970 or RFC 3339: %w", name, text, model.ErrInvalid)
	}
	return t.UnixMilli(), nil
}
