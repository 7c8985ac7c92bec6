package blob

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/varvedb/varve/model"
)

// Opener opens the store that a URL names. The URL has no user part and no prefix parameter. An Opener reads its parameters through Params.
type Opener func(ctx context.Context, u *url.URL) (Driver, error)

// Open opens the bucket that the URL names with the opener of its scheme; the package documentation lists what URLs may say. A prefix
// in the URL comes before Options.Prefix. Errors never show the URL, which may hold a secret by mistake.
func Open(ctx context.Context, rawURL string, openers map[string]Opener, opts *Options) (*Bucket, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("bucket URL: %w", err)
	}
	open, ok := openers[u.Scheme]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(openers)), ", ")
		return nil, fmt.Errorf("bucket URL: scheme %q is not one of %s: %w", u.Scheme, known, model.ErrInvalid)
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	q := u.Query()
	if o.Prefix, err = cleanPrefix(q.Get("prefix") + "/" + o.Prefix); err != nil {
		return nil, fmt.Errorf("bucket URL: %w", err)
	}
	q.Del("prefix")
	u.RawQuery = q.Encode()
	d, err := open(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", Redact(rawURL), err)
	}
	return New(d, &o), nil
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("cannot be parsed: %w", model.ErrInvalid) // the cause quotes the URL
	}
	if u.Scheme == "" || u.Opaque != "" {
		return nil, fmt.Errorf("has no scheme://: %w", model.ErrInvalid)
	}
	if u.User != nil {
		return nil, fmt.Errorf("has a user part; credentials come from the environment: %w", model.ErrInvalid)
	}
	if u.Fragment != "" {
		return nil, fmt.Errorf("has a #fragment: %w", model.ErrInvalid)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("has a malformed query: %w", model.ErrInvalid)
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if len(q[name]) > 1 {
			return nil, fmt.Errorf("gives parameter %q twice: %w", name, model.ErrInvalid)
		}
	}
	return u, nil
}

// plainParams are the parameters whose values Redact shows.
var plainParams = []string{"prefix", "region", "use_path_style", "ssetype", "anonymous", "create", "protocol", "localemu"}

// Redact returns the URL for logs and messages: scheme, bucket and path, the values of
// harmless parameters, and the names of the others.
func Redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return "(malformed URL)"
	}
	safe := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	q := url.Values{}
	for name, values := range u.Query() {
		if !slices.Contains(plainParams, name) {
			values = []string{"xxx"}
		}
		q[name] = values
	}
	safe.RawQuery = q.Encode()
	return safe.String()
}

// Params reads the parameters of a bucket URL for a driver and remembers which were asked for, so that Done can refuse the others by name.
// Not safe for concurrent use.
type Params struct {
	values url.Values
	errs   []error
}

// NewParams returns the parameters of the URL.
func NewParams(u *url.URL) *Params { return &Params{values: u.Query()} }

// String returns the parameter, or "" if it is not given. With choices its value must be one of them.
func (p *Params) String(name string, choices ...string) string {
	v := p.values.Get(name)
	_, given := p.values[name]
	delete(p.values, name)
	if given && len(choices) > 0 && !slices.Contains(choices, v) {
		p.errs = append(p.errs, fmt.Errorf("parameter %s must be one of %s: %w", name, strings.Join(choices, ", "), model.ErrInvalid))
	}
	return v
}

// Bool returns the parameter, or false if it is not given.
func (p *Params) Bool(name string) bool {
	v := p.String(name)
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf("parameter %s must be true or false: %w", name, model.ErrInvalid))
	}
	return b
}

// Done returns what was wrong with the parameters, one that was never asked for included.
func (p *Params) Done() error {
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		p.errs = append(p.errs, fmt.Errorf("unknown parameter %q: %w", name, model.ErrInvalid))
	}
	return errors.Join(p.errs...)
}
