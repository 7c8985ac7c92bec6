package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// A process whose writer was adopted goes on under a new id, with samples that it had acknowledged under the old one and that no adopter found. An
// object in the old writer's folder says so, before the old one is marked as adopted by the process itself and before anything is logged under the new one. Without it nobody could
// tell such a writer from one that has just begun, whose samples are all new.
//
// The payload is two strings: the old id and the new one. Only the process itself writes it; it does so again, with another new id, if somebody adopted
// that before anything was logged under it.

const kindMoved kind = "VVcm"

func movedKey(id string) string { return "w/" + id + "/moved" }

// PutMoved says that the process of the writer from goes on as the writer to.
func (s *Store) PutMoved(ctx context.Context, from, to string) error {
	for _, id := range []string{from, to} {
		if err := tenant.Check(id); err != nil {
			return fmt.Errorf("put move of writer: %w", err)
		}
	}
	data, err := s.codec.sealPayload(kindMoved, appendString(appendString(nil, from), to))
	if err == nil {
		_, err = s.bucket.PutIfAbsent(ctx, movedKey(from), data)
	}
	if errors.Is(err, model.ErrConflict) {
		var have []byte
		var version blob.Version
		if have, version, err = s.bucket.Get(ctx, movedKey(from)); err == nil && !bytes.Equal(have, data) {
			_, err = s.bucket.PutIf(ctx, movedKey(from), data, version)
		}
	}
	if err != nil {
		return fmt.Errorf("put move of writer %s: %w", from, err)
	}
	return nil
}

// MovedTo returns the id under which the writer's process goes on, "" if nobody has said that it does.
func (s *Store) MovedTo(ctx context.Context, from string) (string, error) {
	if err := tenant.Check(from); err != nil {
		return "", fmt.Errorf("read move of writer: %w", err)
	}
	data, _, err := s.bucket.Get(ctx, movedKey(from))
	switch {
	case errors.Is(err, model.ErrNotFound) && !blob.IsDenied(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read move of writer %s: %w", from, err)
	}
	d, err := s.codec.open(data, kindMoved)
	if err != nil {
		return "", fmt.Errorf("read move of writer %s: %w", from, err)
	}
	d.name(from)
	to := d.string()
	if err := d.finish(); err != nil {
		return "", fmt.Errorf("read move of writer %s: %w", from, err)
	}
	return to, nil
}
