package blob_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

func TestPresignRefused(t *testing.T) {
	b := blob.New(mem.New(), nil)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	for name, c := range map[string]struct {
		key  string
		opts *blob.PresignOptions
		want string
	}{
		"a bad key":              {"../x", &blob.PresignOptions{For: time.Minute}, "dot"},
		"no time":                {"x", nil, "for no time"},
		"a store without such":   {"x", &blob.PresignOptions{For: time.Minute}, "not possible with mem://"},
		"a time that has passed": {"x", &blob.PresignOptions{For: -1}, "for no time"},
	} {
		t.Run(name, func(t *testing.T) {
			url, err := b.Presign(t.Context(), c.key, c.opts)
			if url != "" || !errors.Is(err, model.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v, want an error with %q", url, err, c.want)
			}
		})
	}
}
