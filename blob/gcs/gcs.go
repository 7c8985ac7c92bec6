// Package gcs is the driver for Google Cloud Storage, over gocloud.dev's gcsblob.
// The version of an object is its generation. Google allows about one update a second of one name; more are throttled and
// tried again by blob.Bucket.
//
// Credentials are the application default ones of the environment; the parameters of a URL are listed in package blob.
package gcs

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"cloud.google.com/go/storage"
	gblob "gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/internal/cdk"
	"github.com/varvedb/varve/model"
)

// Open is a blob.Opener for gs://BUCKET.
func Open(ctx context.Context, u *url.URL) (blob.Driver, error) {
	p := blob.NewParams(u)
	endpoint := p.String("endpoint")
	anonymous := p.Bool("anonymous") || endpoint != "" || os.Getenv("STORAGE_EMULATOR_HOST") != ""
	st := &store{bucket: u.Host, kmsKey: p.String("kmskeyname"), transport: cdk.Transport()}
	if err := p.Done(); err != nil {
		return nil, err
	}
	if u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("GCS URLs are gs://BUCKET; a path is given as prefix=: %w", model.ErrInvalid)
	}
	hc, err := httpClient(ctx, st.transport, anonymous)
	if err != nil {
		return nil, err
	}
	opts := &gcsblob.Options{}
	if endpoint != "" {
		opts.ClientOptions = append(opts.ClientOptions, option.WithEndpoint(strings.TrimSuffix(endpoint, "/")+"/storage/v1/"))
	}
	b, err := gcsblob.OpenBucket(ctx, hc, u.Host, opts)
	if err != nil {
		return nil, err
	}
	if !b.As(&st.client) {
		return nil, errors.New("bug: gcsblob gives no client")
	}
	st.client.SetRetry(storage.WithPolicy(storage.RetryNever)) // blob.Bucket retries
	return cdk.New("gs", b, st), nil
}

func httpClient(ctx context.Context, t *http.Transport, anonymous bool) (*gcp.HTTPClient, error) {
	if anonymous {
		return gcp.NewAnonymousHTTPClient(t), nil
	}
	creds, err := gcp.DefaultCredentials(ctx)
	if err != nil {
		return nil, fmt.Errorf("google credentials: %w", err)
	}
	return gcp.NewHTTPClient(t, gcp.CredentialsTokenSource(creds))
}

type store struct {
	bucket, kmsKey string
	client         *storage.Client
	transport      *http.Transport
}

var _ cdk.Store = (*store)(nil)

// SetSince implements cdk.Store.
func (s *store) SetSince(as func(any) bool, since blob.Version) error {
	generation, err := strconv.ParseInt(string(since), 10, 64)
	if err != nil {
		return fmt.Errorf("version %q: %w", since, model.ErrInvalid)
	}
	var h **storage.ObjectHandle
	if !as(&h) {
		return errors.New("bug: gcsblob gives no ObjectHandle")
	}
	*h = (*h).If(storage.Conditions{GenerationNotMatch: generation})
	return nil
}

// VersionOf implements cdk.Store.
func (s *store) VersionOf(r *gblob.Reader) blob.Version {
	var sr *storage.Reader
	if !r.As(&sr) || sr.Attrs.Generation == 0 {
		return ""
	}
	return version(sr.Attrs.Generation)
}

func version(generation int64) blob.Version {
	return blob.Version(strconv.FormatInt(generation, 10))
}

// Put implements cdk.Store.
func (s *store) Put(ctx context.Context, key string, data []byte, cond blob.Condition) (blob.Version, error) {
	h := s.client.Bucket(s.bucket).Object(key)
	switch {
	case cond.Absent:
		h = h.If(storage.Conditions{DoesNotExist: true})
	case cond.Match != "":
		generation, err := strconv.ParseInt(string(cond.Match), 10, 64)
		if err != nil || generation == 0 {
			return "", &googleapi.Error{Code: http.StatusPreconditionFailed} // no object was ever at such a version
		}
		h = h.If(storage.Conditions{GenerationMatch: generation})
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // gives up the upload if Write failed
	w := h.NewWriter(ctx)
	w.ChunkSize = 0 // one request, and no copy of the body
	w.ContentType = cdk.ContentType
	w.KMSKeyName = s.kmsKey
	w.CRC32C = crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	w.SendCRC32C = true
	_, err := w.Write(data)
	if cerr := w.Close(); cerr != nil { // names the cause; Write may only know of a closed pipe
		err = cerr
	}
	if err != nil {
		return "", err
	}
	return version(w.Attrs().Generation), nil
}

// Delete implements cdk.Store.
func (s *store) Delete(ctx context.Context, keys []string) error {
	return cdk.DeleteEach(ctx, keys, s.Answer, func(ctx context.Context, key string) error {
		return s.client.Bucket(s.bucket).Object(key).Delete(ctx)
	})
}

// Answer implements cdk.Store.
func (s *store) Answer(err error) (cdk.Answer, bool) {
	var ge *googleapi.Error
	switch {
	case errors.As(err, &ge) && ge.Code >= 300:
		a := cdk.Answer{Status: ge.Code}
		if len(ge.Errors) > 0 {
			a.Code = ge.Errors[0].Reason
		}
		return a, true
	case errors.Is(err, storage.ErrObjectNotExist):
		return cdk.Answer{Status: http.StatusNotFound}, true
	case errors.Is(err, storage.ErrBucketNotExist):
		return cdk.Answer{Status: http.StatusNotFound, Code: "NoSuchBucket"}, true
	}
	return cdk.Answer{}, false
}

// Close implements cdk.Store.
func (s *store) Close() error {
	err := s.client.Close()
	s.transport.CloseIdleConnections()
	return err
}
