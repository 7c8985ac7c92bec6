// Package azure is the driver for Azure Blob Storage, over gocloud.dev's azureblob.
// The version of an object is its ETag, and an object is one Put Blob request.
//
// Credentials come from AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, from AZURE_STORAGE_CONNECTION_STRING,
// or from the default chain of the Azure SDK (environment, workload and managed identity);
// the parameters of a URL are listed in package blob.
package azure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	gblob "gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/internal/cdk"
	"github.com/varvedb/varve/model"
)

// Open is a blob.Opener for azblob://CONTAINER.
func Open(ctx context.Context, u *url.URL) (blob.Driver, error) {
	p := blob.NewParams(u)
	where := azureblob.ServiceURLOptions{
		AccountName:     p.String("storage_account"),
		StorageDomain:   p.String("domain"),
		Protocol:        p.String("protocol", "http", "https"),
		IsLocalEmulator: p.Bool("localemu"),
	}
	st := &store{scope: p.String("encryption_scope"), transport: cdk.Transport()}
	if err := p.Done(); err != nil {
		return nil, err
	}
	if u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("azure URLs are azblob://CONTAINER; a path is given as prefix=: %w", model.ErrInvalid)
	}
	client, err := newClient(where, u.Host, &http.Client{Transport: st.transport})
	if err != nil {
		return nil, err
	}
	b, err := azureblob.OpenBucket(ctx, client, nil)
	if err != nil {
		return nil, err
	}
	if !b.As(&st.client) {
		return nil, errors.New("bug: azureblob gives no client")
	}
	return cdk.New("azblob", b, st), nil
}

type store struct {
	scope     string
	client    *container.Client
	transport *http.Transport
}

var _ cdk.Store = (*store)(nil)

// SetSince implements cdk.Store.
func (s *store) SetSince(as func(any) bool, since blob.Version) error {
	var o *azblob.DownloadStreamOptions
	if !as(&o) {
		return errors.New("bug: azureblob gives no DownloadStreamOptions")
	}
	o.AccessConditions = &azblob.AccessConditions{
		ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETag(since))},
	}
	return nil
}

// VersionOf implements cdk.Store.
func (s *store) VersionOf(r *gblob.Reader) blob.Version {
	var resp azblob.DownloadStreamResponse
	if !r.As(&resp) || resp.ETag == nil {
		return ""
	}
	return blob.Version(*resp.ETag)
}

// Put implements cdk.Store.
func (s *store) Put(ctx context.Context, key string, data []byte, cond blob.Condition) (blob.Version, error) {
	opts := &blockblob.UploadOptions{HTTPHeaders: &azblob.HTTPHeaders{BlobContentType: to.Ptr(cdk.ContentType)}}
	if s.scope != "" {
		opts.CPKScopeInfo = &azblob.CPKScopeInfo{EncryptionScope: to.Ptr(s.scope)}
	}
	var mac azblob.ModifiedAccessConditions
	switch {
	case cond.Absent:
		mac.IfNoneMatch = to.Ptr(azcore.ETagAny)
	case cond.Match != "":
		mac.IfMatch = to.Ptr(azcore.ETag(cond.Match))
	}
	opts.AccessConditions = &azblob.AccessConditions{ModifiedAccessConditions: &mac}
	resp, err := s.client.NewBlockBlobClient(key).Upload(ctx, streaming.NopCloser(bytes.NewReader(data)), opts)
	if err != nil {
		return "", err
	}
	if resp.ETag == nil {
		return "", nil
	}
	return blob.Version(*resp.ETag), nil
}

// Delete implements cdk.Store.
func (s *store) Delete(ctx context.Context, keys []string) error {
	return cdk.DeleteEach(ctx, keys, s.Answer, func(ctx context.Context, key string) error {
		_, err := s.client.NewBlobClient(key).Delete(ctx, nil)
		return err
	})
}

// Answer implements cdk.Store.
func (s *store) Answer(err error) (cdk.Answer, bool) {
	var re *azcore.ResponseError
	if errors.As(err, &re) {
		return cdk.Answer{Status: re.StatusCode, Code: re.ErrorCode}, true
	}
	return cdk.Answer{}, false
}

// Close implements cdk.Store.
func (s *store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}
