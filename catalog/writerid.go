package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// WriterIDKey is the key of a writer's identity object.
func WriterIDKey(id string) string { return "w/" + id + "/id" }

// PutWriterID creates the writer's identity object: the text "varve writer 1\n", the id, a newline. It is never changed or deleted, and
// shows readers without list permission that a 403 on another object of the writer means absence.
// Creating it again is no error.
func (s *Store) PutWriterID(ctx context.Context, id string) error {
	if err := tenant.Check(id); err != nil {
		return fmt.Errorf("put writer id: %w", err)
	}
	want := []byte("varve writer 1\n" + id + "\n")
	_, err := s.bucket.PutIfAbsent(ctx, WriterIDKey(id), want)
	if err == nil {
		return nil
	}
	got, _, readErr := s.bucket.Get(ctx, WriterIDKey(id))
	switch {
	case readErr != nil:
		return fmt.Errorf("put writer id %s: %w", id, errors.Join(err, readErr))
	case !bytes.Equal(got, want):
		return fmt.Errorf("put writer id %s: the object holds something else: %w", id, model.ErrCorrupt)
	}
	return nil
}
