package wire

import (
	"errors"

	"github.com/varvedb/varve/model"
)

// kinds are the names under which the kinds of error travel.
var kinds = []struct {
	name string
	err  error
}{
	{"invalid", model.ErrInvalid},
	{"limit", model.ErrLimit},
	{"notfound", model.ErrNotFound},
	{"conflict", model.ErrConflict},
	{"unavailable", model.ErrUnavailable},
	{"version", model.ErrVersion},
	{"corrupt", model.ErrCorrupt},
}

func kindOf(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "other"
}

// remoteError is an error that happened in the other process.
type remoteError struct {
	kind    error
	message string
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.kind }

func errorOf(kind, message string) error {
	for _, k := range kinds {
		if k.name == kind {
			return &remoteError{k.err, message}
		}
	}
	return errors.New(message)
}
