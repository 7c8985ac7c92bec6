// Package tenant is the unit of isolation: its name, the rules for the name, the
// way it travels in a context, and the limits of each.
//
// A tenant's name becomes part of object keys and of paths on a directory
// bucket, so every edge of the system checks it with Check before use. The tenant
// travels in the context from the edge to the first room behind it, and as an explicit argument from there on.
package tenant

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/model"
)

// Default is the tenant of requests that name none.
const Default = "default"

// MaxLen is the longest name of a tenant or writer, in bytes.
const MaxLen = 64

// Check returns an error that wraps model.ErrInvalid unless name matches [A-Za-z0-9_-]{1,64}.
// The names of writers follow the same rule.
func Check(name string) error {
	if name == "" || len(name) > MaxLen {
		return fmt.Errorf("name %.80q has %d bytes, want 1 to %d: %w", name, len(name), MaxLen, model.ErrInvalid)
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return fmt.Errorf("name %q has %q at byte %d, want only A-Z a-z 0-9 _ -: %w", name, c, i, model.ErrInvalid)
		}
	}
	return nil
}

type contextKey struct{}

// NewContext returns a context that carries the tenant.
func NewContext(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, contextKey{}, name)
}

// FromContext returns the tenant that the context carries, or Default.
func FromContext(ctx context.Context) string {
	if name, ok := ctx.Value(contextKey{}).(string); ok {
		return name
	}
	return Default
}
