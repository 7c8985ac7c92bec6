package catalog

import (
	"strings"
	"time"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// KeyPrefix begins the keys of all catalogs, and of roots and other objects of tenants.
const KeyPrefix = "t/"

// ParsePartitionKey returns the partition whose catalog lies under the key. ok is false for any other key.
func ParsePartitionKey(key string) (tenantName string, day model.Day, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 || parts[0] != "t" || parts[2] != "c" || tenant.Check(parts[1]) != nil {
		return "", 0, false
	}
	t, err := time.Parse("20060102", parts[3])
	if err != nil {
		return "", 0, false
	}
	return parts[1], model.DayOf(t.UnixMilli()), true
}
