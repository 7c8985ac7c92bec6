//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/localstack/reader"
	"github.com/varvedb/varve/tenant"
)

// A reading is what a bucket holds for the default tenant.
type reading struct {
	contents contents
	// inBlocks is the number of samples of all live blocks together, by their catalogs.
	inBlocks int64
}

// open opens the bucket in this process.
func open(t *testing.T, b bucket) *reader.Reader {
	t.Helper()
	for _, kv := range b.env {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	r, err := reader.Open(t.Context(), b.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// readBucket reads everything, to the bit. It asks no server, and fails if the roster has an active writer.
func readBucket(t *testing.T, b bucket) reading {
	t.Helper()
	r := open(t, b)
	partitions, err := r.Partitions(t.Context(), tenant.Default)
	if err != nil {
		t.Fatal(err)
	}
	out := reading{contents: contents{}}
	for _, p := range partitions {
		for _, e := range p.Blocks {
			out.inBlocks += e.Samples
		}
	}
	// The days of the data bound the range: a range without bounds would read years of absent catalogs.
	if len(partitions) == 0 {
		return out
	}
	querier, err := r.Queryable.Querier(partitions[0].Day.Range().MinMs, partitions[len(partitions)-1].Day.Range().MaxMs)
	if err != nil {
		t.Fatal(err)
	}
	set := querier.Select(tenant.NewContext(t.Context(), tenant.Default), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	var it chunkenc.Iterator
	for set.Next() {
		s := set.At()
		it = s.Iterator(it)
		out.contents[keyOf(s.Labels().Map())] = pointsOf(t, it)
	}
	for _, w := range set.Warnings() {
		t.Errorf("warning while reading the bucket: %v", w)
	}
	if set.Err() != nil {
		t.Fatal(set.Err())
	}
	if err := querier.Close(); err != nil {
		t.Error(err)
	}
	return out
}

// activeWriter is the id of the only active writer of the roster.
func activeWriter(t *testing.T, b bucket) string {
	t.Helper()
	roster, err := open(t, b).Catalog.Roster(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, w := range roster.Writers {
		if w.State == catalog.Active {
			ids = append(ids, w.ID)
		}
	}
	if len(ids) != 1 {
		t.Fatalf("active writers %v, want one", ids)
	}
	return ids[0]
}

// lastShipped is when the newest segment of any log came into the bucket, zero if none did. Clouds tell it in whole seconds.
func lastShipped(t *testing.T, b bucket) time.Time {
	t.Helper()
	var last time.Time
	for o, err := range open(t, b).Bucket.List(context.WithoutCancel(t.Context()), "w/") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(o.Key, ".wal") && o.Modified.After(last) {
			last = o.Modified
		}
	}
	return last
}
