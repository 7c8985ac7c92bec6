package main

import (
	"net/url"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/varvedb/varve"
)

// cacheFlags are the flags of what is kept of blocks between queries.
type cacheFlags struct {
	dir          string
	disk, memory *byteSize
}

// Values of --cache-dir that name no directory.
const (
	cacheAuto = "auto"
	cacheOff  = "off"
)

// registerServer adds the flags of a server.
func (c *cacheFlags) registerServer(f *pflag.FlagSet) {
	f.StringVar(&c.dir, "cache-dir", cacheAuto, "directory for local copies of blocks that queries read much: a path, off, or auto (<data-dir>/cache, and none if the bucket is local itself)")
	c.registerDisk(f)
	c.memory = bytesFlag(f, "cache-memory-bytes", 0, "memory for catalogs, for what queries read of blocks and for results of range queries, a part of --memory-budget (default a sixteenth of it)")
}

// registerOnce adds those of a process that answers one query.
func (c *cacheFlags) registerOnce(f *pflag.FlagSet) {
	f.StringVar(&c.dir, "cache-dir", "", "directory for local copies of blocks, for the queries after this one (default none)")
	c.registerDisk(f)
}

func (c *cacheFlags) registerDisk(f *pflag.FlagSet) {
	c.disk = bytesFlag(f, "cache-disk-bytes", 1<<30, "largest size of the local copies; 1GiB of the file system is left free in any case")
}

// once are the options of a process that answers one query.
func (c *cacheFlags) once(bucket string) varve.CacheOptions {
	o := c.options(bucket, "", 0)
	o.Eager = true
	return o
}

// options are for blocks; memory is what is left for them beside catalogs.
func (c *cacheFlags) options(bucket, dataDir string, memory int64) varve.CacheOptions {
	o := varve.CacheOptions{MemoryBytes: memory, DiskBytes: int64(*c.disk)}
	switch c.dir {
	case "", cacheOff:
	case cacheAuto:
		if u, err := url.Parse(bucket); err == nil && u.Scheme != "file" && u.Scheme != "mem" {
			o.Dir = filepath.Join(dataDir, "cache")
		}
	default:
		o.Dir = c.dir
	}
	return o
}

// check refuses more memory than samples and writes leave to everything else.
func (c *cacheFlags) check(budget int64) error {
	heap := divideMemory(budget).heap
	if int64(*c.memory) > heap/4 {
		return usagef("--cache-memory-bytes is %s, want at most %s, a quarter of what --memory-budget leaves", c.memory, ptr(byteSize(heap/4)))
	}
	if *c.disk < 1 {
		return usagef("--cache-disk-bytes must be more than 0; --cache-dir off makes no copies")
	}
	return nil
}

func ptr[T any](v T) *T { return &v }
