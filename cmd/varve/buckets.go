package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/azure"
	"github.com/varvedb/varve/blob/dir"
	"github.com/varvedb/varve/blob/gcs"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blob/s3"
)

// openers are the bucket drivers in this binary.
func openers() map[string]blob.Opener {
	return map[string]blob.Opener{"s3": s3.Open, "gs": gcs.Open, "azblob": azure.Open, "file": dir.Open, "mem": mem.Open}
}

// location are the flags that say where the data lies.
type location struct{ bucket, dataDir string }

func (l *location) register(f *pflag.FlagSet) {
	f.StringVar(&l.bucket, "bucket", "", "URL of the bucket (default a directory: file://<data-dir>/bucket)")
	f.StringVar(&l.dataDir, "data-dir", "./data", "local directory of the log; it is the identity of the writer")
}

// localBucket is the URL of the bucket below the data directory.
func (l *location) localBucket() (string, error) {
	path, err := filepath.Abs(filepath.Join(l.dataDir, "bucket"))
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	return u.String(), nil
}

// forWriting is the URL with which a server opens its bucket: it makes the directory of a local one, unless the URL says create=false.
func forWriting(bucket string) string {
	u, err := url.Parse(bucket)
	if err != nil || u.Scheme != "file" || u.Query().Has("create") {
		return bucket
	}
	q := u.Query()
	q.Set("create", "true")
	u.RawQuery = q.Encode()
	return u.String()
}

// forReading is the bucket of a command that only reads: the default must exist.
func (l *location) forReading() (string, error) {
	if l.bucket != "" {
		return l.bucket, nil
	}
	if _, err := os.Stat(filepath.Join(l.dataDir, "bucket")); err != nil {
		return "", usagef("no --bucket is given, and there is none in the data directory %s", l.dataDir)
	}
	return l.localBucket()
}

// objectURL returns a function that makes the URL of an object of the bucket as other programs take it; sql tells that DuckDB is one.
func objectURL(bucket string, sql bool) (func(key string) string, error) {
	u, err := url.Parse(bucket)
	if err != nil {
		return nil, usagef("--bucket: it is not a URL") // the cause quotes it
	}
	scheme := u.Scheme
	if sql && scheme == "azblob" {
		scheme = "az"
	}
	at := scheme + "://" + u.Host + strings.TrimSuffix(u.Path, "/")
	if scheme == "file" && sql {
		at = strings.TrimSuffix(filepath.FromSlash(u.Path), "/")
	}
	if prefix := strings.Trim(u.Query().Get("prefix"), "/"); prefix != "" {
		at += "/" + prefix
	}
	return func(key string) string { return at + "/" + key }, nil
}
