package main

import "context"

// coldReport is what the first query of a fresh reader asked of the bucket.
type coldReport struct {
	Selector string `json:"selector"`
	Stages   int    `json:"stages"`
	Requests int    `json:"requests"`
	Bytes    int64  `json:"bytes"`
	Series   int    `json:"series"`
	Samples  int    `json:"samples"`
}

func (r *report) coldQuery(context.Context, string, string) error { return nil }
