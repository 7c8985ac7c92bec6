package blob_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

// memOpeners open s3 URLs in memory, with one parameter.
func memOpeners(d blob.Driver) map[string]blob.Opener {
	return map[string]blob.Opener{
		"s3": func(_ context.Context, u *url.URL) (blob.Driver, error) {
			p := blob.NewParams(u)
			p.String("ssetype", "AES256", "aws:kms")
			p.Bool("anonymous")
			return d, p.Done()
		},
		"mem": mem.Open,
	}
}

func TestOpen(t *testing.T) {
	for _, c := range []struct {
		url  string
		opts *blob.Options
		want string // the full key of "k", or what the error says
	}{
		{"s3://b", nil, "k"},
		{"s3://b?prefix=a/b/", nil, "a/b/k"},
		{"s3://b?prefix=/a/b", &blob.Options{Prefix: "c"}, "a/b/c/k"},
		{"s3://b?ssetype=AES256&anonymous=true", &blob.Options{Prefix: "c/"}, "c/k"},
		{"s3://b?ssetype=rot13", nil, "parameter ssetype must be one of AES256, aws:kms"},
		{"s3://b?anonymous=perhaps", nil, "parameter anonymous must be true or false"},
		{"s3://b?sse_type=AES256", nil, `unknown parameter "sse_type"`},
		{"s3://b?prefix=../x", nil, "prefix: key"},
		{"s3://b?prefix=a&prefix=b", nil, `gives parameter "prefix" twice`},
		{"s3://b?prefix=%zz", nil, "malformed query"},
		{"s3://AKIA:hunter2@b", nil, "credentials come from the environment"},
		{"s3://b#frag", nil, "#fragment"},
		{"ftp://b", nil, `scheme "ftp" is not one of mem, s3`},
		{"/a/directory", nil, "no scheme"},
		{"s3:b", nil, "no scheme"},
		{"s3://hunter2\x7f", nil, "cannot be parsed"},
		{"", nil, "no scheme"},
	} {
		d := mem.New()
		b, err := blob.Open(t.Context(), c.url, memOpeners(d), c.opts)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) || !errors.Is(err, model.ErrInvalid) {
				t.Errorf("open %q: %v, want %q", c.url, err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("open %q: the error shows a secret: %v", c.url, err)
			}
			continue
		}
		if _, err := b.Put(t.Context(), "k", nil); err != nil {
			t.Fatal(err)
		}
		for o := range d.List(t.Context(), "") {
			if o.Key != c.want {
				t.Errorf("open %q: the object is %s, want %s", c.url, o.Key, c.want)
			}
		}
	}
}

func TestRedact(t *testing.T) {
	for raw, want := range map[string]string{
		"s3://b?prefix=a&region=eu&kmskeyid=hunter2": "s3://b?kmskeyid=xxx&prefix=a&region=eu",
		"s3://u:hunter2@b/p":                         "s3://b/p",
		"azblob://c?sig=hunter2#hunter2":             "azblob://c?sig=xxx",
		"file:///var/lib/varve":                      "file:///var/lib/varve",
		"s3://hunter2\x7f":                           "(malformed URL)",
		"hunter2":                                    "(malformed URL)",
	} {
		if got := blob.Redact(raw); got != want {
			t.Errorf("redact %q: got %s, want %s", raw, got, want)
		}
	}
}

// FuzzURL checks that neither errors nor Redact show the value of an unknown parameter, a user part or a fragment.
func FuzzURL(f *testing.F) {
	const secret = "hunter2"
	for _, s := range []string{
		"s3://b?x=hunter2", "s3://u:hunter2@b", "s3://hunter2@b?prefix=p", "azblob://c?sv=1&sig=hunter2", "s3://b#hunter2", "::hunter2",
		"s3://b?prefix=a%2Fb&x=hunter2&x=1", "mem://?y=hunter2", "s3://b?x=%68unter2;y=1", "\x00hunter2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		_, err := blob.Open(t.Context(), raw, memOpeners(mem.New()), nil)
		if err != nil && !errors.Is(err, model.ErrInvalid) {
			t.Fatalf("open %q: %v is no refusal", raw, err)
		}
		if !hidden(raw, secret) {
			return
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("open %q: the error shows the secret: %v", raw, err)
		}
		if r := blob.Redact(raw); strings.Contains(r, secret) {
			t.Fatalf("redact %q shows the secret: %s", raw, r)
		}
	})
}

// hidden reports whether the secret is in parts of the URL alone that are never shown.
func hidden(raw, secret string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return true
	}
	shown := []string{u.Scheme, u.Host, u.Path}
	for name, values := range u.Query() {
		shown = append(shown, name)
		switch name {
		case "prefix", "region", "use_path_style", "ssetype", "anonymous", "create", "protocol", "localemu":
			shown = append(shown, values...)
		}
	}
	return !slices.ContainsFunc(shown, func(s string) bool { return strings.Contains(s, secret) })
}

func FuzzValidKey(f *testing.F) {
	for _, k := range []string{"a/b", "../x", "a//b", "w/x/0000000001/00000000.wal", "d/tenant=a/day=2026-01-01/x.vb", "a/.b", "a."} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if blob.ValidKey(key) != nil {
			return
		}
		u := url.URL{Path: "/" + key}
		if u.EscapedPath() != "/"+key {
			t.Fatalf("valid key %q is escaped in a URL: %s", key, u.EscapedPath())
		}
		for _, part := range strings.Split(key, "/") {
			if part == "" || part == "." || part == ".." || strings.HasPrefix(part, ".") {
				t.Fatalf("valid key %q has the part %q", key, part)
			}
		}
	})
}
