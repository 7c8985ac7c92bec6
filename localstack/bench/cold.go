package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varvedb/varve/localstack/reader"
	"github.com/varvedb/varve/tenant"
)

// coldReport is what the first query of a fresh reader asked of the bucket: one metric, all of its time.
type coldReport struct {
	Metric   string `json:"metric"`
	Stages   int    `json:"stages"`
	Requests int    `json:"requests"`
	Lists    int    `json:"lists"`
	Bytes    int64  `json:"bytes"`
	Series   int    `json:"series"`
	Samples  int    `json:"samples"`
}

// coldQuery selects all samples of a metric through a reader that has seen nothing yet.
func (r *report) coldQuery(ctx context.Context, bucket, metric string, fromMs, toMs int64) (err error) {
	rd, err := reader.Open(ctx, bucket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rd.Close()) }()
	querier, err := rd.Queryable.Querier(fromMs, toMs)
	if err != nil {
		return fmt.Errorf("cold query: %w", err)
	}
	defer func() { err = errors.Join(err, querier.Close()) }()
	m, err := labels.NewMatcher(labels.MatchEqual, "__name__", metric)
	if err != nil {
		return fmt.Errorf("cold query: %w", err)
	}
	cold := &coldReport{Metric: metric}
	set := querier.Select(tenant.NewContext(ctx, tenant.Default), true, nil, m)
	var it chunkenc.Iterator
	for set.Next() {
		cold.Series++
		it = set.At().Iterator(it)
		for it.Next() != chunkenc.ValNone {
			cold.Samples++
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("cold query: %w", err)
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("cold query: %w", err)
	}
	counts := rd.Counts()
	cold.Stages, cold.Bytes, cold.Lists = counts.Stages, counts.Bytes, counts.Requests["list"]
	for _, n := range counts.Requests {
		cold.Requests += n
	}
	r.Cold = cold
	return nil
}
