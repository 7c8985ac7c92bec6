// Package s3 is the driver for Amazon S3 and servers that speak its protocol,
// over gocloud.dev's s3blob. The version of an object is its ETag; create-if-absent is If-None-Match, compare-and-swap If-Match,
// and an object of any size up to 5 GB is one PUT, because a condition holds for a whole PUT.
//
// Credentials and region come from the AWS configuration of the environment; the parameters of a URL are listed in package blob.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	gblob "gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/internal/cdk"
	"github.com/varvedb/varve/model"
)

// Open is a blob.Opener for s3://BUCKET.
func Open(ctx context.Context, u *url.URL) (blob.Driver, error) {
	s, err := parse(u)
	if err != nil {
		return nil, err
	}
	client, transport, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	b, err := s3blob.OpenBucket(ctx, client, s.bucket, &s3blob.Options{EncryptionType: s.sse, KMSEncryptionID: s.kmsKey})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", model.ErrInvalid, err)
	}
	st := &store{settings: s, transport: transport}
	if !b.As(&st.s3) {
		return nil, errors.New("bug: s3blob gives no client")
	}
	return &driver{Driver: cdk.New("s3", b, st), store: st}, nil
}

// settings are what a URL says.
type settings struct {
	bucket, region, profile, endpoint string
	pathStyle, anonymous              bool
	sse                               types.ServerSideEncryption
	kmsKey                            string
	requestChecksum, responseChecksum string
}

func parse(u *url.URL) (settings, error) {
	p := blob.NewParams(u)
	s := settings{
		bucket:    u.Host,
		region:    p.String("region"),
		profile:   p.String("profile"),
		endpoint:  p.String("endpoint"),
		pathStyle: p.Bool("use_path_style"),
		anonymous: p.Bool("anonymous"),
		sse:       types.ServerSideEncryption(p.String("ssetype", "AES256", "aws:kms", "aws:kms:dsse")),
		kmsKey:    p.String("kmskeyid"),

		requestChecksum:  p.String("request_checksum_calculation", "when_required", "when_supported"),
		responseChecksum: p.String("response_checksum_validation", "when_required", "when_supported"),
	}
	if err := p.Done(); err != nil {
		return s, err
	}
	if s.bucket == "" || strings.Trim(u.Path, "/") != "" {
		return s, fmt.Errorf("S3 URLs are s3://BUCKET; a path is given as prefix=: %w", model.ErrInvalid)
	}
	if s.kmsKey != "" && !strings.HasPrefix(string(s.sse), "aws:kms") {
		return s, fmt.Errorf("kmskeyid needs ssetype=aws:kms or aws:kms:dsse: %w", model.ErrInvalid)
	}
	return s, nil
}

func (s settings) client(ctx context.Context) (*s3.Client, *http.Transport, error) {
	opts := []func(*config.LoadOptions) error{config.WithRetryMaxAttempts(1)} // blob.Bucket retries
	if s.region != "" {
		opts = append(opts, config.WithRegion(s.region))
	} else if s.endpoint != "" {
		opts = append(opts, config.WithDefaultRegion("us-east-1"))
	}
	if s.profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(s.profile))
	}
	if s.anonymous {
		opts = append(opts, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("AWS configuration: %w", err)
	}
	transport := cdk.Transport()
	if c, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		transport = cdk.Tune(c.GetTransport()) // it may have certificates from the configuration
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: transport}
		o.UsePathStyle = s.pathStyle
		if s.endpoint != "" {
			o.BaseEndpoint = aws.String(s.endpoint)
		}
		if s.requestChecksum == "when_required" {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		}
		if s.responseChecksum == "when_required" {
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
		o.DisableLogOutputChecksumValidationSkipped = true // ranges have none
	})
	return client, transport, nil
}

type store struct {
	settings
	s3        *s3.Client
	transport *http.Transport
}

var _ cdk.Store = (*store)(nil)

// SetSince implements cdk.Store.
func (s *store) SetSince(as func(any) bool, since blob.Version) error {
	var in *s3.GetObjectInput
	if !as(&in) {
		return errors.New("bug: s3blob gives no GetObjectInput")
	}
	in.IfNoneMatch = aws.String(string(since))
	return nil
}

// VersionOf implements cdk.Store.
func (s *store) VersionOf(r *gblob.Reader) blob.Version {
	var out s3.GetObjectOutput
	if !r.As(&out) {
		return ""
	}
	return blob.Version(aws.ToString(out.ETag))
}

// Put implements cdk.Store.
func (s *store) Put(ctx context.Context, key string, data []byte, cond blob.Condition) (blob.Version, error) {
	in := &s3.PutObjectInput{
		Bucket:               aws.String(s.bucket),
		Key:                  aws.String(key),
		Body:                 bytes.NewReader(data),
		ContentLength:        aws.Int64(int64(len(data))),
		ContentType:          aws.String(cdk.ContentType),
		ServerSideEncryption: s.sse,
	}
	if s.kmsKey != "" {
		in.SSEKMSKeyId = aws.String(s.kmsKey)
	}
	switch {
	case cond.Absent:
		in.IfNoneMatch = aws.String("*")
	case cond.Match != "":
		in.IfMatch = aws.String(string(cond.Match))
	}
	out, err := s.s3.PutObject(ctx, in)
	if err != nil {
		if _, answered := s.Answer(err); !answered && len(data) > sentWhole && s.refuses(ctx, key, cond) {
			return "", &smithy.GenericAPIError{Code: "PreconditionFailed", Message: err.Error()}
		}
		return "", err
	}
	return blob.Version(aws.ToString(out.ETag)), nil
}

// sentWhole is the size in bytes of a body that is on its way as a whole before a store can answer.
const sentWhole = 16 << 10

// refuses reports whether the object is not what a write wants it to be. A store that sees so by the head of a request may answer and close the connection
// without reading the body; who is still sending that then learns of the reset, and on a busy machine never of the answer, however often it tries.
func (s *store) refuses(ctx context.Context, key string, cond blob.Condition) bool {
	if cond == (blob.Condition{}) || ctx.Err() != nil {
		return false
	}
	out, err := s.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(key)})
	if err != nil {
		a, _ := s.Answer(err)
		return a.Status == http.StatusNotFound && cond.Match != ""
	}
	return cond.Absent || aws.ToString(out.ETag) != string(cond.Match)
}

// Delete implements cdk.Store.
func (s *store) Delete(ctx context.Context, keys []string) error {
	if len(keys) == 1 {
		_, err := s.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(keys[0])})
		return err
	}
	ids := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		ids[i].Key = &keys[i]
	}
	out, err := s.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: aws.String(s.bucket),
		Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return err
	}
	for _, e := range out.Errors {
		if code := aws.ToString(e.Code); code != "NoSuchKey" {
			return &smithy.GenericAPIError{Code: code, Message: aws.ToString(e.Key)}
		}
	}
	return nil
}

// Answer implements cdk.Store.
func (s *store) Answer(err error) (cdk.Answer, bool) {
	var a cdk.Answer
	var re *awshttp.ResponseError
	if errors.As(err, &re) {
		a.Status = re.HTTPStatusCode()
	}
	var ae smithy.APIError
	if errors.As(err, &ae) {
		a.Code = ae.ErrorCode()
	}
	if a.Status == 0 {
		a.Status = statusOf(a.Code)
	}
	// Without a status the request got no answer, whatever the SDK calls that.
	return a, a.Status >= 300
}

// statusOf is the status that stands behind an error that is no answer of its own.
func statusOf(code string) int {
	switch code {
	case "AccessDenied":
		return http.StatusForbidden
	case "InternalError":
		return http.StatusInternalServerError
	case "SlowDown", "ServiceUnavailable":
		return http.StatusServiceUnavailable
	case "PreconditionFailed":
		return http.StatusPreconditionFailed
	}
	return 0
}

// Close implements cdk.Store.
func (s *store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}
