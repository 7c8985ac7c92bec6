package s3

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/internal/cdk"
	"github.com/varvedb/varve/model"
)

// driver is cdk's, and presigns.
type driver struct {
	*cdk.Driver
	store *store
}

var _ blob.Presigner = (*driver)(nil)

// Presign implements blob.Presigner: a signed GET of Signature Version 4, in the query of the URL. It ends with the credentials that signed it,
// where those are temporary.
func (d *driver) Presign(ctx context.Context, key string, opts *blob.PresignOptions) (string, error) {
	in := &s3.GetObjectInput{Bucket: aws.String(d.store.bucket), Key: aws.String(key)}
	if opts.ContentType != "" {
		in.ResponseContentType = aws.String(opts.ContentType)
	}
	if opts.ContentEncoding != "" {
		in.ResponseContentEncoding = aws.String(opts.ContentEncoding)
	}
	signed, err := s3.NewPresignClient(d.store.s3).PresignGetObject(ctx, in, s3.WithPresignExpires(opts.For))
	if err != nil {
		if cerr := ctx.Err(); cerr != nil {
			return "", cerr
		}
		// What the SDK says of credentials that it cannot find names the places where it looked, and no secret.
		return "", fmt.Errorf("sign: %w: %w", err, model.ErrUnavailable)
	}
	return signed.URL, nil
}
