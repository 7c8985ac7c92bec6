package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/varvedb/varve/cluster/wire"
	"github.com/varvedb/varve/model"
)

// flush answers when everything that was acknowledged before is committed.
func (s *Server) flush(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.FlushTimeout)
	defer cancel()
	if err := s.c.Flusher.Flush(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("not everything is committed after %s: %w: %w", s.opts.FlushTimeout, err, model.ErrUnavailable)
		}
		return fmt.Errorf("flush: %w", err)
	}
	if s.c.Source != nil {
		w.Header().Set(wire.WriterHeader, s.c.Source.Writer())
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte("Varve is healthy.\n"))
	return ignore(err)
}

// ignore drops the error of writing an answer: nobody is left to tell.
func ignore(error) error { return nil }

// readiness is the body of /-/ready.
type readiness struct {
	Ready  bool          `json:"ready"`
	Checks []checkResult `json:"checks"`
}

type checkResult struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// ready answers 200 if all checks hold, else 503, with the reasons.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	result := s.runChecks(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if !result.Ready {
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	return ignore(json.NewEncoder(w).Encode(result))
}

func (s *Server) runChecks(ctx context.Context) readiness {
	checks := append([]Check{{"running", s.notStopping}}, s.c.Checks...)
	result := readiness{Ready: true, Checks: make([]checkResult, len(checks))}
	var wait sync.WaitGroup
	for i, c := range checks {
		wait.Go(func() {
			result.Checks[i] = checkResult{Name: c.Name, OK: true}
			if err := c.Run(ctx); err != nil {
				result.Checks[i] = checkResult{Name: c.Name, Reason: err.Error()}
			}
		})
	}
	wait.Wait()
	for _, c := range result.Checks {
		result.Ready = result.Ready && c.OK
	}
	return result
}

func (s *Server) notStopping(context.Context) error {
	if s.stopping.Load() {
		return errors.New("the server is shutting down")
	}
	return nil
}
