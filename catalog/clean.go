package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// The wish that deletes be made physical soon is an object of the tenant whose time of change is all that counts. Workers list what lies beside the catalogs at each look anyway, so
// that they see it without a request more; nothing depends on it.

const cleanText = "varve clean tombstones 1\n"

func cleanKey(tenantName string) string { return KeyPrefix + tenantName + "/clean" }

// ParseCleanKey reports whether the key is that of such a wish, and of which tenant.
func ParseCleanKey(key string) (tenantName string, ok bool) {
	name, found := strings.CutPrefix(key, KeyPrefix)
	name, suffix := strings.CutSuffix(name, "/clean")
	return name, found && suffix && tenant.Check(name) == nil
}

// AskToClean asks all workers on the bucket to apply the tenant's tombstones with their next look. Who asks beside it asks for the same.
func (s *Store) AskToClean(ctx context.Context, tenantName string) error {
	root, err := s.Root(ctx, tenantName, nil)
	if err == nil && root.GravestoneMs != 0 {
		err = ErrGravestone
	}
	if err != nil {
		return fmt.Errorf("ask to clean: %w", err)
	}
	if root.Missing {
		return nil // nothing was ever written, so nothing deleted
	}
	text, key := []byte(fmt.Sprintf("%s%d\n", cleanText, s.nowMs())), cleanKey(tenantName)
	_, err = s.bucket.PutIfAbsent(ctx, key, text)
	if errors.Is(err, model.ErrConflict) {
		_, version, readErr := s.bucket.Get(ctx, key)
		if readErr != nil {
			return fmt.Errorf("ask to clean: %w", readErr)
		}
		if _, err = s.bucket.PutIf(ctx, key, text, version); errors.Is(err, model.ErrConflict) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("ask to clean: %w", err)
	}
	return nil
}
