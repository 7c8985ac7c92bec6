package main

import "testing"

func TestForWriting(t *testing.T) {
	for in, want := range map[string]string{
		"file:///a/b":                "file:///a/b?create=true",
		"file:///a/b?prefix=x":       "file:///a/b?create=true&prefix=x",
		"file:///a/b?create=false":   "file:///a/b?create=false",
		"s3://bucket?region=x":       "s3://bucket?region=x",
		"mem://":                     "mem://",
		"file://%zz":                 "file://%zz",
		"azblob://c?create=nonsense": "azblob://c?create=nonsense",
	} {
		if got := forWriting(in); got != want {
			t.Errorf("%s is opened as %s, want %s", in, got, want)
		}
	}
}
