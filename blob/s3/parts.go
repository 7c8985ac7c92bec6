package s3

import (
	"bytes"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/internal/cdk"
)

// Begin implements cdk.Store with a multipart upload; the condition stands at its completion.
func (s *store) Begin(ctx context.Context, key string) (cdk.Parts, error) {
	in := &s3.CreateMultipartUploadInput{
		Bucket: aws.String(s.bucket), Key: aws.String(key), ContentType: aws.String(cdk.ContentType), ServerSideEncryption: s.sse,
	}
	if s.requestChecksum != "when_required" {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
	}
	if s.kmsKey != "" {
		in.SSEKMSKeyId = aws.String(s.kmsKey)
	}
	out, err := s.s3.CreateMultipartUpload(ctx, in)
	if err != nil {
		return nil, err
	}
	return &parts{store: s, key: aws.String(key), id: out.UploadId, checksum: in.ChecksumAlgorithm}, nil
}

type parts struct {
	store   *store
	key, id *string
	// checksum is that of the parts, "" for none.
	checksum types.ChecksumAlgorithm
	done     []types.CompletedPart
}

// Put implements cdk.Parts.
func (p *parts) Put(ctx context.Context, n int, data []byte) error {
	number := aws.Int32(int32(n + 1))
	out, err := p.store.s3.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: aws.String(p.store.bucket), Key: p.key, UploadId: p.id, PartNumber: number,
		Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))), ChecksumAlgorithm: p.checksum,
	})
	if err != nil {
		return err
	}
	part := types.CompletedPart{PartNumber: number, ETag: out.ETag}
	if p.checksum != "" {
		part.ChecksumCRC32 = out.ChecksumCRC32
	}
	p.done = append(p.done[:n], part)
	return nil
}

// Create implements cdk.Parts.
func (p *parts) Create(ctx context.Context) (blob.Version, error) {
	out, err := p.store.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(p.store.bucket), Key: p.key, UploadId: p.id, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: p.done},
	})
	if err != nil {
		return "", err
	}
	return blob.Version(aws.ToString(out.ETag)), nil
}

// Abort implements cdk.Parts.
func (p *parts) Abort(ctx context.Context) error {
	_, err := p.store.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String(p.store.bucket), Key: p.key, UploadId: p.id})
	return err
}
