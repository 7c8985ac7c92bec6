package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// Snapshots makes, lists and deletes snapshots.
type Snapshots interface {
	// CreateSnapshot makes one, under a name of its own choice if name is "", and names the writers that could not be asked to flush.
	CreateSnapshot(ctx context.Context, tenantName, name string, skipHead bool) (made string, unreached []string, err error)
	ListSnapshots(ctx context.Context, tenantName string) ([]Snapshot, error)
	DeleteSnapshot(ctx context.Context, tenantName, name string) error
}

// Snapshot is one in the list.
type Snapshot struct {
	Name      string `json:"name"`
	CreatedMs int64  `json:"created_ms"`
	// Complete is false for one that is being made, or whose making was ended half way.
	Complete bool `json:"complete"`
}

// createSnapshot answers as Prometheus does, with the name. Parameters are skip_head, as there, and name.
func (s *Server) createSnapshot(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("parse form: %w: %w", err, model.ErrInvalid)
	}
	skipHead := false
	if text := r.Form.Get("skip_head"); text != "" {
		var err error
		if skipHead, err = strconv.ParseBool(text); err != nil {
			return fmt.Errorf("skip_head is %.60q, which is neither true nor false: %w", text, model.ErrInvalid)
		}
	}
	name := r.Form.Get("name")
	if name != "" {
		if err := tenant.Check(name); err != nil { // names of snapshots follow the same rule
			return fmt.Errorf("snapshot %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.FlushTimeout)
	defer cancel()
	name, unreached, err := s.c.Snapshots.CreateSnapshot(ctx, tenant.FromContext(ctx), name, skipHead)
	if err != nil {
		return err
	}
	var warnings []string
	if len(unreached) > 0 {
		warnings = []string{"these writers could not be reached, what they hold in memory is not in the snapshot: " + strings.Join(unreached, ", ")}
	}
	return answerData(w, map[string]string{"name": name}, warnings)
}

// snapshots lists those of the tenant, or deletes the one that the parameter name says.
func (s *Server) snapshots(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if r.Method == http.MethodDelete {
		if err := s.c.Snapshots.DeleteSnapshot(ctx, tenant.FromContext(ctx), r.URL.Query().Get("name")); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	list, err := s.c.Snapshots.ListSnapshots(ctx, tenant.FromContext(ctx))
	if err != nil {
		return err
	}
	return answerData(w, list, nil)
}

// answerData answers in the envelope of Prometheus' API.
func answerData(w http.ResponseWriter, data any, warnings []string) error {
	w.Header().Set("Content-Type", "application/json")
	return ignore(json.NewEncoder(w).Encode(struct {
		Status   string   `json:"status"`
		Data     any      `json:"data"`
		Warnings []string `json:"warnings,omitempty"`
	}{"success", data, warnings}))
}
