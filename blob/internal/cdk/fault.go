package cdk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// Answer is the HTTP answer behind an error.
type Answer struct {
	Status int
	// Code is the store's own word for the fault, "" if it has none.
	Code string
}

// purpose is what a call was for: a refused read may mean a missing object.
type purpose int

const (
	reading purpose = iota
	writing
)

// fault returns the error in the terms of blob.Driver. The SDK's text stays out of it, because it quotes URLs and
// requests, which may carry signatures.
func (d *Driver) fault(ctx context.Context, err error, p purpose) error {
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	a, ok := d.store.Answer(err)
	if !ok {
		return fmt.Errorf("%w: %w", innermost(err), model.ErrUnavailable)
	}
	kind := a.kind()
	switch {
	case kind == nil:
		return a
	case errors.Is(kind, blob.ErrDenied) && p == reading:
		return blob.DeniedRead(a.Error())
	}
	return fmt.Errorf("%w: %w", a, kind)
}

// Error makes the answer an error, the part of one that every fault shows.
func (a Answer) Error() string {
	if a.Code == "" {
		return fmt.Sprintf("HTTP %d %s", a.Status, http.StatusText(a.Status))
	}
	return fmt.Sprintf("HTTP %d %s", a.Status, a.Code)
}

// The stores' words that matter beyond the status.
var (
	throttled = []string{
		"SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "Throttling", "ThrottlingException", // S3
		"rateLimitExceeded", "userRateLimitExceeded", // GCS
		"ServerBusy", "OperationTimedOut", // Azure
	}
	taken = []string{
		"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet", "PreconditionFailed", "conditionNotMet",
		"InvalidBlockList", // Azure: somebody else committed the object, and the blocks of all others are gone
	}
	noBucket = []string{"NoSuchBucket", "ContainerNotFound", "InvalidBucketName", "ContainerBeingDeleted"}
)

func (a Answer) noBucket() bool { return slices.Contains(noBucket, a.Code) }

// kind is the kind of error, nil if there is none for it.
func (a Answer) kind() error {
	switch {
	case slices.Contains(throttled, a.Code):
		return model.ErrUnavailable
	case a.noBucket():
		return fmt.Errorf("there is no such bucket: %w", model.ErrInvalid)
	case a.Status == http.StatusPreconditionFailed, slices.Contains(taken, a.Code):
		return model.ErrConflict
	case a.Status == http.StatusNotFound:
		return model.ErrNotFound
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return blob.ErrDenied
	case a.Status == http.StatusNotImplemented:
		return fmt.Errorf("the store does not implement the request: %w", model.ErrInvalid)
	case a.Status == http.StatusConflict, // S3 under concurrent conditional writes: neither won, try again
		a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooManyRequests, a.Status >= 500:
		return model.ErrUnavailable
	}
	return nil
}

// innermost is the error without the URL that package net/http puts around it.
func innermost(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return innermost(u.Err)
	}
	return err
}
