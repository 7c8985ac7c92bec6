package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	prommodel "github.com/prometheus/common/model"
	"github.com/spf13/pflag"

	"github.com/varvedb/varve/model"
)

// byteSize is a flag of bytes: 512MiB, 2GiB, 1048576.
type byteSize int64

func (b *byteSize) Set(s string) error {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > 1<<62 {
		return fmt.Errorf("%q is no number of bytes such as 512MiB", s)
	}
	*b = byteSize(n)
	return nil
}

func (b *byteSize) String() string {
	return strings.Replace(strings.ReplaceAll(humanize.IBytes(uint64(*b)), " ", ""), ".0", "", 1)
}

func (*byteSize) Type() string { return "bytes" }

func bytesFlag(f *pflag.FlagSet, name string, value int64, usage string) *byteSize {
	b := byteSize(value)
	f.Var(&b, name, usage)
	return &b
}

// interval is a flag of time as Go or Prometheus write it: 90s, 2h30m, 1d.
type interval time.Duration

func (i *interval) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		p, perr := prommodel.ParseDuration(s)
		if perr != nil {
			return fmt.Errorf("%q is no duration such as 30s, 2h or 1d", s)
		}
		d = time.Duration(p)
	}
	if d < 0 {
		return fmt.Errorf("%q is negative", s)
	}
	*i = interval(d)
	return nil
}

func (i *interval) String() string { return prommodel.Duration(*i).String() }
func (*interval) Type() string     { return "duration" }

func intervalFlag(f *pflag.FlagSet, name string, value time.Duration, usage string) *interval {
	i := interval(value)
	f.Var(&i, name, usage)
	return &i
}

// parseDay reads a moment that stands for its UTC day: a date, or what parseTime reads.
func parseDay(s string, now time.Time) (model.Day, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return model.DayOf(t.UnixMilli()), nil
	}
	t, err := parseTime(s, now)
	if err != nil {
		return 0, usagef("day %q is not YYYY-MM-DD, seconds since 1970, RFC 3339, now, or now-1h", s)
	}
	return model.DayOf(t.UnixMilli()), nil
}

// parseTime reads a moment: seconds since 1970, RFC 3339, now, or now-1h.
func parseTime(s string, now time.Time) (time.Time, error) {
	if rest, ok := strings.CutPrefix(s, "now"); ok {
		if rest == "" {
			return now, nil
		}
		var d interval
		if err := d.Set(rest[1:]); err == nil && rest[0] == '-' {
			return now.Add(-time.Duration(d)), nil
		} else if err == nil && rest[0] == '+' {
			return now.Add(time.Duration(d)), nil
		}
	} else if f, err := strconv.ParseFloat(s, 64); err == nil && f > -1e12 && f < 1e12 {
		return time.UnixMilli(int64(f * 1000)).UTC(), nil
	} else if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), nil
	}
	return time.Time{}, usagef("time %q is not seconds since 1970, RFC 3339, now, or now-1h", s)
}
