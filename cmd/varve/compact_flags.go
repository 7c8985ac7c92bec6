package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/varvedb/varve/lifecycle"
)

// compactFlags are the flags of whoever compacts days.
type compactFlags struct {
	on     bool
	settle *interval
}

func (c *compactFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&c.on, "compact", true, "make parquet of days that are over")
	c.settle = intervalFlag(f, "compact-settle", 30*time.Minute, "how long a day that was over long ago must have got no samples before it is compacted; 0s right after a backfill")
}

func (c *compactFlags) settings() lifecycle.CompactSettings {
	s := lifecycle.CompactSettings{Off: !c.on, Settle: time.Duration(*c.settle)}
	if s.Settle == 0 {
		s.Settle = -1
	}
	return s
}
