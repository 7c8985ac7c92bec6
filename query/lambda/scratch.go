package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// maxScratchFor is the longest time for which S3 signs.
const maxScratchFor = 7 * 24 * time.Hour

func (f *Function) openScratch(ctx context.Context, openers map[string]blob.Opener) error {
	if f.cfg.Scratch == "" {
		return nil
	}
	if f.cfg.ScratchFor > maxScratchFor {
		return fmt.Errorf("scratch: URLs for %s, want at most %s: %w", f.cfg.ScratchFor, maxScratchFor, model.ErrInvalid)
	}
	b, err := blob.Open(ctx, f.cfg.Scratch, openers, nil)
	if err != nil {
		return fmt.Errorf("scratch: %w", err)
	}
	f.scratch = b
	f.closers = append(f.closers, b.Close)
	return nil
}

// shorten gives what is answered in place of an answer that does not fit: the place where it lies, or what to do.
func (f *Function) shorten(ctx context.Context, w *recorder) *recorder {
	out := &recorder{header: http.Header{}}
	for name, values := range w.header {
		if keeps(name) {
			out.header[name] = values
		}
	}
	if f.scratch == nil {
		respond(out, http.StatusUnprocessableEntity, "execution", fmt.Sprintf("the answer has %s, and AWS Lambda sends at most %d: ask for fewer series, a shorter range or a longer step%s; "+
			"or configure the function with a scratch bucket (VARVE_SCRATCH), or its URL for streamed responses (VARVE_RESPONSE_STREAM)", w.length(), maxPayload, w.compression()))
		return out
	}
	url, err := f.spill(ctx, w)
	if err != nil {
		f.log.Error("an answer could not be put into the scratch bucket", "err", err)
		respond(out, http.StatusServiceUnavailable, "unavailable", fmt.Sprintf("the answer has %s, and AWS Lambda sends at most %d; it could not be put into the scratch bucket, see the log of the function", w.length(), maxPayload))
		return out
	}
	out.header.Set("Location", url)
	out.header.Set("Cache-Control", "no-store")
	respond(out, http.StatusSeeOther, "see_other", fmt.Sprintf("the answer has %s, and AWS Lambda sends at most %d: for %s it is at %s", w.length(), maxPayload, f.cfg.ScratchFor, url))
	return out
}

// explainHeader is the header of package api that an answer keeps wherever its body is.
const explainHeader = "X-Varve-Explain"

// keeps reports a header that says something of the request and not of the body, and so is that of any answer: without those for browsers a page of another
// origin is not shown why it gets no answer.
func keeps(name string) bool {
	return http.CanonicalHeaderKey(explainHeader) == name || name == "Vary" || strings.HasPrefix(name, "Access-Control-")
}

func (w *recorder) length() string {
	if enc := w.header.Get("Content-Encoding"); enc != "" {
		return fmt.Sprintf("%d bytes as %s", w.size, enc)
	}
	return fmt.Sprintf("%d bytes", w.size)
}

// compression is said to clients that could have had it.
func (w *recorder) compression() string {
	if w.header.Get("Content-Encoding") != "" {
		return ""
	}
	return ", or let the answer be compressed (Accept-Encoding: gzip)"
}

// spill puts the answer into the scratch bucket and returns a URL for it. The name is made of the content: asked again it is the same object.
func (f *Function) spill(ctx context.Context, w *recorder) (string, error) {
	if w.status != http.StatusOK {
		return "", fmt.Errorf("answer of status %d with %d bytes", w.status, w.size)
	}
	sum := sha256.Sum256(w.body.Bytes())
	key := "results/" + hex.EncodeToString(sum[:16])
	if _, err := f.scratch.Put(ctx, key, w.body.Bytes()); err != nil {
		return "", err
	}
	return f.scratch.Presign(ctx, key, &blob.PresignOptions{
		For: f.cfg.ScratchFor, ContentType: w.header.Get("Content-Type"), ContentEncoding: w.header.Get("Content-Encoding"),
	})
}
