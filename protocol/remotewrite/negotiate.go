package remotewrite

import (
	"errors"
	"fmt"
	"mime"
)

// ErrMediaType is the kind of error for a body in a form that is not spoken here (415).
var ErrMediaType = errors.New("unsupported media type")

const (
	mediaType  = "application/x-protobuf"
	messageV1  = "prometheus.WriteRequest"
	messageV2  = "io.prometheus.write.v2.Request"
	encodingV1 = "snappy"
)

// Negotiate judges the Content-Type and Content-Encoding headers of a write. Both may be empty, as old senders
// leave them; that means version 1.0. The error wraps ErrMediaType and says what is spoken.
func Negotiate(contentType, contentEncoding string) error {
	if contentEncoding != "" && contentEncoding != encodingV1 {
		return fmt.Errorf("content encoding %.40q is not spoken, send %q: %w", contentEncoding, encodingV1, ErrMediaType)
	}
	if contentType == "" || contentType == mediaType {
		return nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != mediaType {
		return fmt.Errorf("content type %.80q is not spoken, send %q: %w", contentType, mediaType, ErrMediaType)
	}
	switch message := params["proto"]; message {
	case "", messageV1:
		return nil
	case messageV2:
		return fmt.Errorf("remote write 2.0 (proto=%s) is not spoken yet, set protobuf_message: %q in the sender's remote_write section: %w", messageV2, messageV1, ErrMediaType)
	default:
		return fmt.Errorf("message %.80q is not spoken, send proto=%s: %w", message, messageV1, ErrMediaType)
	}
}
