package query

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/model"
)

// Resolution is what a query is to be answered from: raw samples, or rollups of them.
type Resolution uint8

const (
	// ResolutionDefault is raw samples, and rollups of 5 minutes beside them for days of which raw samples have expired.
	ResolutionDefault Resolution = iota
	// ResolutionAuto is rollups alone for days that are in the rollups entirely, of the longest windows that the range and the step of a selector are made for;
	// the default where there are none.
	ResolutionAuto
	// ResolutionRaw is raw samples, whatever has expired.
	ResolutionRaw
	// Resolution5m is like ResolutionAuto with windows of this length, wherever a function can use them at all.
	Resolution5m
	// Resolution1h likewise.
	Resolution1h
)

var resolutions = [...]string{"", "auto", "raw", "5m", "1h"}

// String returns the name, as ParseResolution takes it.
func (r Resolution) String() string { return resolutions[r] }

// ParseResolution is the inverse of String. The error wraps model.ErrInvalid.
func ParseResolution(s string) (Resolution, error) {
	for i, name := range resolutions {
		if s == name {
			return Resolution(i), nil
		}
	}
	return 0, fmt.Errorf("resolution %q is none of auto, raw, 5m and 1h: %w", s, model.ErrInvalid)
}

// resolutionMs is the length of the windows that are asked for, 0 if that is left open.
func (r Resolution) resolutionMs() int64 {
	switch r {
	case Resolution5m:
		return fiveMinutesMs
	case Resolution1h:
		return hourMs
	}
	return 0
}

type resolutionKey struct{}

// WithResolution returns a context whose queries are answered from the resolution.
func WithResolution(ctx context.Context, r Resolution) context.Context {
	return context.WithValue(ctx, resolutionKey{}, r)
}

// ResolutionOf returns the resolution that queries in the context are answered from.
func ResolutionOf(ctx context.Context) Resolution {
	r, _ := ctx.Value(resolutionKey{}).(Resolution)
	return r
}
