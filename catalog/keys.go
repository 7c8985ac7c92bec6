package catalog

import (
	"strings"
	"time"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// KeyPrefix begins the keys of all catalogs, and of roots and other objects of tenants.
const KeyPrefix = "t/"

// PartitionKey is the key of a partition's catalog.
func PartitionKey(tenantName string, day model.Day) string { return partitionKey(tenantName, day) }

// ParseRootKey returns the tenant whose root lies under the key. ok is false for any other key.
func ParseRootKey(key string) (tenantName string, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 || parts[0] != "t" || parts[2] != "root" || tenant.Check(parts[1]) != nil {
		return "", false
	}
	return parts[1], true
}

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
