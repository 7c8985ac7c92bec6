package mem_test

import (
	"net/url"
	"testing"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/blobtest"
	"github.com/varvedb/varve/blob/mem"
)

func TestConformance(t *testing.T) {
	d := mem.New()
	blobtest.Run(t, func(*testing.T) *blob.Bucket { return blob.New(d, &blob.Options{PartBytes: 9999}) }, &blobtest.Options{Rounds: 150, Listed: 1100, PartBytes: 9999})
}

func TestConformanceUnderPrefix(t *testing.T) {
	d := mem.New()
	blobtest.Run(t, func(*testing.T) *blob.Bucket { return blob.New(d, &blob.Options{Prefix: "a/b"}) }, nil)
	for o, err := range d.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Key) < 4 || o.Key[:4] != "a/b/" {
			t.Fatalf("object %q is not under the prefix", o.Key)
		}
	}
}

func TestOpen(t *testing.T) {
	for raw, ok := range map[string]bool{
		"mem://":             true,
		"mem://name":         false,
		"mem:///path":        false,
		"mem://?kmskeyid=k":  false,
		"mem://?ssetype=AES": false,
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mem.Open(t.Context(), u); (err == nil) != ok {
			t.Errorf("open %s: %v", raw, err)
		}
	}
}
