package api

import (
	"context"
	"fmt"
	"net/url"

	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// withSnapshot is the context of a call that asks for the past, snapshot=NAME, or ctx. All calls that read samples or labels take it.
func withSnapshot(ctx context.Context, form url.Values) (context.Context, error) {
	if !form.Has("snapshot") {
		return ctx, nil
	}
	name := form.Get("snapshot")
	if err := tenant.Check(name); err != nil { // names of snapshots follow the same rule
		return nil, fmt.Errorf("invalid parameter %q: %w", "snapshot", err)
	}
	return query.WithSnapshot(ctx, name), nil
}
