package blob

import (
	"context"
	"fmt"
	"time"

	"github.com/varvedb/varve/model"
)

// Presigner is a Driver whose store lets somebody without credentials read one object by a URL. Drivers need not be one.
type Presigner interface {
	Driver
	// Presign returns the URL. It makes no request, unless credentials have to be fetched, and does not look whether there is an object.
	Presign(ctx context.Context, key string, opts *PresignOptions) (string, error)
}

// PresignOptions say what a URL is good for.
type PresignOptions struct {
	// For is how long the object can be read; less where the credentials that signed end before. Required.
	For time.Duration
	// ContentType and ContentEncoding are what the answer shall say of the object; "" for what the store says.
	ContentType, ContentEncoding string
}

// Presign returns a URL by which anybody can read the object for some time. Whoever has the URL has that right: it belongs into an answer
// and into no log. A store that has no such URLs is model.ErrInvalid.
func (b *Bucket) Presign(ctx context.Context, key string, opts *PresignOptions) (string, error) {
	const op = "presign"
	if b.badOpts != nil {
		return "", b.badOpts
	}
	if err := ValidKey(key); err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	if opts == nil || opts.For <= 0 {
		return "", fmt.Errorf("%s %s: for no time: %w", op, key, model.ErrInvalid)
	}
	p, ok := b.driver.(Presigner)
	if !ok {
		return "", fmt.Errorf("%s %s: not possible with %s://: %w", op, key, b.Scheme(), model.ErrInvalid)
	}
	url, err := p.Presign(ctx, b.prefix+key, opts)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", op, key, err)
	}
	return url, nil
}
