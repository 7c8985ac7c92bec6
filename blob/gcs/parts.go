package gcs

import (
	"context"

	"cloud.google.com/go/storage"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/internal/cdk"
)

// Begin implements cdk.Store with a resumable upload, whose client takes up the thread of a part by itself: it alone knows how far the
// store is. What it gives up is final, so the second try of a part or of Create answers as the first did.
func (s *store) Begin(ctx context.Context, key string) (cdk.Parts, error) {
	ctx, cancel := context.WithCancel(ctx)
	h := s.client.Bucket(s.bucket).Object(key).If(storage.Conditions{DoesNotExist: true})
	w := h.Retryer(storage.WithPolicy(storage.RetryAlways)).NewWriter(ctx)
	w.ChunkSize = blob.PartBytes
	w.ContentType = cdk.ContentType
	w.KMSKeyName = s.kmsKey
	return &parts{w: w, cancel: cancel}, nil
}

type parts struct {
	w      *storage.Writer
	cancel context.CancelFunc
	failed error
	closed bool
}

// Put implements cdk.Parts.
func (p *parts) Put(ctx context.Context, _ int, data []byte) error {
	if p.failed != nil {
		return p.failed
	}
	stop := context.AfterFunc(ctx, p.cancel)
	defer stop()
	if _, err := p.w.Write(data); err != nil {
		p.failed = err
		p.close()
	}
	return p.failed
}

// close ends the upload; it names the cause where Write may only know of a closed pipe.
func (p *parts) close() {
	if err := p.w.Close(); err != nil {
		p.failed = err
	}
	p.closed = true
}

// Create implements cdk.Parts.
func (p *parts) Create(ctx context.Context) (blob.Version, error) {
	if p.failed == nil && !p.closed {
		stop := context.AfterFunc(ctx, p.cancel)
		p.close()
		stop()
	}
	if p.failed != nil {
		return "", p.failed
	}
	p.cancel()
	return version(p.w.Attrs().Generation), nil
}

// Abort implements cdk.Parts: without its last request the upload makes no object.
func (p *parts) Abort(context.Context) error {
	p.cancel()
	if !p.closed {
		p.close()
	}
	return nil
}
