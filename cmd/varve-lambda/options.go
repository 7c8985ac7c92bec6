package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	prommodel "github.com/prometheus/common/model"

	"github.com/varvedb/varve/query/lambda"
)

// options are what the environment says.
type options struct {
	lambda.Config
	level slog.Level
}

// settings read one variable each. docs/lambda.md has the same table, and a test compares them. Names that the server has too mean the same.
func (o *options) settings() map[string]func(value string) error {
	return map[string]func(string) error{
		"VARVE_BUCKET":          text(&o.Bucket),
		"VARVE_SCRATCH":         text(&o.Scratch),
		"VARVE_SCRATCH_FOR":     interval(&o.ScratchFor),
		"VARVE_TENANT":          text(&o.Tenant),
		"VARVE_RESPONSE_STREAM": boolean(&o.Stream),
		"VARVE_CORS_ORIGIN":     text(&o.CORSOrigin),
		"VARVE_LOG_LEVEL":       func(s string) error { return o.level.UnmarshalText([]byte(s)) },

		"VARVE_QUERY_TIMEOUT":         interval(&o.Engine.Timeout),
		"VARVE_QUERY_LOOKBACK":        interval(&o.Engine.Lookback),
		"VARVE_QUERY_MAX_SAMPLES":     number(&o.Engine.MaxSamples),
		"VARVE_QUERY_BUDGET_BYTES":    size(&o.Limits.Bytes),
		"VARVE_QUERY_BUDGET_REQUESTS": number(&o.Limits.Requests),
		"VARVE_QUERY_BUDGET_SAMPLES":  number(&o.Limits.Samples),
		"VARVE_QUERY_BUDGET_COST":     money(&o.Limits.Cost),
		"VARVE_QUERY_BUDGET_TIME":     interval(&o.Limits.Time),

		// Set by AWS Lambda, in MB.
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": func(s string) error {
			n, err := strconv.ParseInt(s, 10, 32)
			o.MemoryBytes = n << 20
			return err
		},
	}
}

// readOptions names everything that is wrong, and variables that look like ours and are not: what is misspelled would be without effect.
func readOptions(env []string) (*options, error) {
	o := &options{level: slog.LevelInfo}
	o.Version, o.Revision = buildInfo()
	o.Flags = map[string]string{}
	set := o.settings()
	var errs []error
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		read, ok := set[name]
		switch {
		case ok && value != "":
			if err := read(value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			} else if !isURL(name) {
				o.Flags[name] = value
			}
		case !ok && strings.HasPrefix(name, "VARVE_"):
			errs = append(errs, fmt.Errorf("%s: no such setting", name))
		}
	}
	if o.Bucket == "" {
		errs = append(errs, errors.New("VARVE_BUCKET: not set; it is the URL of the bucket to read, s3://NAME?region=REGION"))
	}
	return o, errors.Join(errs...)
}

// isURL reports that the value is not for status/flags: a URL may hold what is nobody's business.
func isURL(name string) bool { return name == "VARVE_BUCKET" || name == "VARVE_SCRATCH" }

// setCollector has Go's collector use the memory of the function: it is paid for in any case, and the time of collecting is paid for too.
func (o *options) setCollector() {
	if o.MemoryBytes == 0 {
		return
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(o.MemoryBytes / 100 * 85)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

func text(to *string) func(string) error {
	return func(s string) error {
		*to = s
		return nil
	}
}

func boolean(to *bool) func(string) error {
	return func(s string) (err error) {
		if *to, err = strconv.ParseBool(s); err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		return nil
	}
}

func number[T int | int64](to *T) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 10, strconv.IntSize)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is no number of at least 0", s)
		}
		*to = T(n)
		return nil
	}
}

func money(to *float64) func(string) error {
	return func(s string) error {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || !(v >= 0) || math.IsInf(v, 1) {
			return fmt.Errorf("%q is no amount of USD", s)
		}
		*to = v
		return nil
	}
}

func size(to *int64) func(string) error {
	return func(s string) error {
		n, err := humanize.ParseBytes(s)
		if err != nil || n > 1<<62 {
			return fmt.Errorf("%q is no number of bytes such as 512MiB", s)
		}
		*to = int64(n)
		return nil
	}
}

func interval(to *time.Duration) func(string) error {
	return func(s string) error {
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
		*to = d
		return nil
	}
}
