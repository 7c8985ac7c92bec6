package azure

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/internal/cdk"
)

// Begin implements cdk.Store with staged blocks, which the store keeps by name of the object: those of two uploads of one object lie side by
// side, so their ids begin with something random.
func (s *store) Begin(_ context.Context, key string) (cdk.Parts, error) {
	p := &parts{store: s, client: s.client.NewBlockBlobClient(key)}
	if _, err := rand.Read(p.random[:]); err != nil { //nolint:forbidigo // nothing depends on it but that it is no other upload's
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return p, nil
}

type parts struct {
	store  *store
	client *blockblob.Client
	random [12]byte
	ids    []string
}

func (p *parts) scope() *azblob.CPKScopeInfo {
	if p.store.scope == "" {
		return nil
	}
	return &azblob.CPKScopeInfo{EncryptionScope: to.Ptr(p.store.scope)}
}

// Put implements cdk.Parts.
func (p *parts) Put(ctx context.Context, n int, data []byte) error {
	id := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(p.random[:], uint32(n)))
	_, err := p.client.StageBlock(ctx, id, streaming.NopCloser(bytes.NewReader(data)), &blockblob.StageBlockOptions{CPKScopeInfo: p.scope()})
	if err == nil {
		p.ids = append(p.ids[:n], id)
	}
	return err
}

// Create implements cdk.Parts.
func (p *parts) Create(ctx context.Context) (blob.Version, error) {
	resp, err := p.client.CommitBlockList(ctx, p.ids, &blockblob.CommitBlockListOptions{
		HTTPHeaders:  &azblob.HTTPHeaders{BlobContentType: to.Ptr(cdk.ContentType)},
		CPKScopeInfo: p.scope(),
		AccessConditions: &azblob.AccessConditions{
			ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)},
		},
	})
	if err != nil || resp.ETag == nil {
		return "", err
	}
	return blob.Version(*resp.ETag), nil
}

// Abort implements cdk.Parts: the store forgets blocks that were not committed after a week, or when others are.
func (p *parts) Abort(context.Context) error { return nil }
