package gcs_test

import (
	"testing"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/blobtest"
	"github.com/varvedb/varve/blob/gcs"
	"github.com/varvedb/varve/localstack/emulator"
)

var openers = map[string]blob.Opener{"gs": gcs.Open}

func TestConformance(t *testing.T) {
	srv := emulator.ForTest(t, emulator.GCS)
	url, err := srv.Bucket(t.Context(), "conformance")
	if err != nil {
		t.Fatal(err)
	}
	blobtest.Run(t, func(t *testing.T) *blob.Bucket {
		b, err := blob.Open(t.Context(), url+"&prefix=team/a", openers, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}, &blobtest.Options{Listed: 1100})
}
