package api

import (
	"context"
	"fmt"
	"net/url"

	"github.com/varvedb/varve/query"
)

// withResolution is the context of a call that says from which samples it wants an answer, resolution=auto, raw, 5m or 1h, or ctx.
func withResolution(ctx context.Context, form url.Values) (context.Context, error) {
	r, err := query.ParseResolution(form.Get("resolution"))
	if err != nil {
		return nil, fmt.Errorf("invalid parameter %q: %w", "resolution", err)
	}
	if r == query.ResolutionDefault {
		return ctx, nil
	}
	return query.WithResolution(ctx, r), nil
}
