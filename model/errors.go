package model

import "errors"

// The kinds of error. A kind exists only where some caller acts differently on
// it; everything else is an ordinary error. Wrap them with the operation and its
// object:
//
//	fmt.Errorf("read catalog %s: %w", key, model.ErrCorrupt)
//
// and test with errors.Is. The server maps kinds to status codes in one table.
var (
	// ErrInvalid: the request is wrong and will be wrong when sent again (400).
	ErrInvalid = errors.New("invalid")
	// ErrLimit: a limit was reached; later, or with less, it may pass (429).
	ErrLimit = errors.New("limit reached")
	// ErrNotFound: the named thing does not exist (404).
	ErrNotFound = errors.New("not found")
	// ErrConflict: somebody else changed or made it first (409).
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: something needed cannot be reached or is not ready; retry (503).
	ErrUnavailable = errors.New("unavailable")
	// ErrCorrupt: stored bytes fail their checks; the message names object and offset (500).
	ErrCorrupt = errors.New("corrupt")
	// ErrVersion: a format version that this program does not read. It is also ErrCorrupt's
	// sibling: nothing is wrong with the bytes, a newer Varve wrote them (500).
	ErrVersion = errors.New("unknown format version")
)
