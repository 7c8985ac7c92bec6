package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/server"
)

// snapshotter gives a server the snapshots of its bucket.
type snapshotter struct{ db *varve.DB }

// CreateSnapshot implements server.Snapshots.
func (s snapshotter) CreateSnapshot(ctx context.Context, tenantName, name string, skipHead bool) (string, []string, error) {
	if name == "" {
		var random [8]byte
		if _, err := rand.Read(random[:]); err != nil {
			return "", nil, fmt.Errorf("read randomness: %w", err)
		}
		name = time.Now().UTC().Format("20060102T150405Z0700") + "-" + hex.EncodeToString(random[:])
	}
	_, unreached, err := s.db.CreateSnapshot(ctx, tenantName, name, skipHead)
	return name, unreached, err
}

// ListSnapshots implements server.Snapshots.
func (s snapshotter) ListSnapshots(ctx context.Context, tenantName string) ([]server.Snapshot, error) {
	root, err := s.db.Catalog().Root(ctx, tenantName, nil)
	if err != nil {
		return nil, err
	}
	list := []server.Snapshot{}
	for _, ref := range root.Snapshots {
		list = append(list, server.Snapshot{Name: ref.Name, CreatedMs: ref.CreatedMs, Complete: ref.Complete})
	}
	return list, nil
}

// DeleteSnapshot implements server.Snapshots.
func (s snapshotter) DeleteSnapshot(ctx context.Context, tenantName, name string) error {
	return s.db.Catalog().DeleteSnapshot(ctx, tenantName, name)
}
