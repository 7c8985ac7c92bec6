package blob

import (
	"fmt"
	"strings"

	"github.com/varvedb/varve/model"
)

// maxKeyBytes is the longest key that every store takes (S3 and GCS 1,024 bytes), less room for a prefix and
// for the temporary names of the directory driver.
const maxKeyBytes = 900

// maxPartBytes is the longest part of a key: file names end at 255 bytes.
const maxPartBytes = 255

// ValidKey returns nil if key may name an object: parts of [A-Za-z0-9_.=-], separated by "/", none of them
// empty, beginning or ending with a dot. So no key climbs out of a directory, needs escaping in a URL,
// looks like a temporary file, or loses its last dot (Azure). The error wraps model.ErrInvalid.
func ValidKey(key string) error {
	if key == "" || len(key) > maxKeyBytes {
		return fmt.Errorf("key of %d bytes, must be 1 to %d: %w", len(key), maxKeyBytes, model.ErrInvalid)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part[0] == '.' || part[len(part)-1] == '.' || len(part) > maxPartBytes {
			return fmt.Errorf("key %q has a part that is empty, too long, or begins or ends with a dot: %w", key, model.ErrInvalid)
		}
		if i := strings.IndexFunc(part, func(r rune) bool { return !keyRune(r) }); i >= 0 {
			return fmt.Errorf("key %q holds a character outside [A-Za-z0-9/_.=-]: %w", key, model.ErrInvalid)
		}
	}
	return nil
}

// validPrefix is ValidKey for the beginning of a key, which may be empty or end anywhere.
func validPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return ValidKey(strings.TrimSuffix(prefix, "/") + "x")
}

func keyRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '.' || r == '=' || r == '-'
}

// cleanPrefix returns the prefix of all keys of a bucket, "" or ending in "/".
func cleanPrefix(prefix string) (string, error) {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return "", nil
	}
	if err := ValidKey(prefix); err != nil {
		return "", fmt.Errorf("prefix: %w", err)
	}
	return prefix + "/", nil
}
