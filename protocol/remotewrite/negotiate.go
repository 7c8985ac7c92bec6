package remotewrite

import (
	"errors"
	"fmt"
	"mime"
)

// ErrMediaType is the kind of error for a body in a form that is not spoken here (415).
var ErrMediaType = errors.New("unsupported media type")

// Version is one of the two protocols: which message a body holds.
type Version uint8

// The versions.
const (
	V1 Version = iota // prometheus.WriteRequest
	V2                // io.prometheus.write.v2.Request
)

const (
	mediaType  = "application/x-protobuf"
	messageV1  = "prometheus.WriteRequest"
	messageV2  = "io.prometheus.write.v2.Request"
	encodingV1 = "snappy"
)

// Negotiate judges the Content-Type and Content-Encoding headers of a write. Both may be empty, as old senders
// leave them; that means version 1.0. The error wraps ErrMediaType and says what is spoken.
func Negotiate(contentType, contentEncoding string) (Version, error) {
	if contentEncoding != "" && contentEncoding != encodingV1 {
		return V1, fmt.Errorf("content encoding %.40q is not spoken, send %q: %w", contentEncoding, encodingV1, ErrMediaType)
	}
	if contentType == "" || contentType == mediaType {
		return V1, nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != mediaType {
		return V1, fmt.Errorf("content type %.80q is not spoken, send %q: %w", contentType, mediaType, ErrMediaType)
	}
	switch message := params["proto"]; message {
	case "", messageV1:
		return V1, nil
	case messageV2:
		return V2, nil
	default:
		return V1, fmt.Errorf("message %.80q is not spoken, send proto=%s or proto=%s: %w", message, messageV2, messageV1, ErrMediaType)
	}
}
