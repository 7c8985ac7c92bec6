package lambda

import (
	"log/slog"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/query"
)

// Config are the settings of a Function. Bucket is required.
type Config struct {
	// Bucket is the URL of the bucket that is read.
	Bucket string
	// Scratch is the URL of a bucket, or of a prefix of one, for answers that are too long for a response. Default none. It may not be within Bucket's
	// own prefixes; the function needs the rights to put and to get there.
	Scratch string
	// ScratchFor is how long the URL of such an answer is good. Default 15 minutes, at most 7 days.
	ScratchFor time.Duration
	// Tenant is the only one that is answered. Default: each request names its own, as with a server.
	Tenant string
	// Stream says that the function's URL is configured for streamed responses. Default false.
	Stream bool
	// MemoryBytes is the memory of the function: half is for queries, three sixteenths for caches. Default 1,769 MB.
	MemoryBytes int64
	// Engine has the limits of evaluation. Its timeout is cut to what is left of an invocation.
	Engine query.EngineOptions
	// Limits are the budgets of each query. Default none.
	Limits query.Limits
	// CORSOrigin is a regular expression for origins that browsers may call from. Default none.
	CORSOrigin string
	// Version and Revision are what status/buildinfo says, Flags what status/flags shows.
	Version, Revision string
	Flags             map[string]string
}

func (c *Config) withDefaults() Config {
	d := *c
	if d.ScratchFor <= 0 {
		d.ScratchFor = 15 * time.Minute
	}
	if d.MemoryBytes <= 0 {
		d.MemoryBytes = 1769 << 20
	}
	if d.Engine.Timeout <= 0 {
		d.Engine.Timeout = 2 * time.Minute
	}
	if d.Engine.Lookback <= 0 {
		d.Engine.Lookback = 5 * time.Minute
	}
	return d
}

// Components are what a Function works with. Openers is required.
type Components struct {
	// Openers are the bucket drivers of the program.
	Openers map[string]blob.Opener
	Logger  *slog.Logger     // nil for none
	Now     func() time.Time // nil for the system's
}
