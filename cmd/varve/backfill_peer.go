package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/varvedb/varve/migrate/verify"
)

// peerTimeout bounds the questions of what a server is: those who do not answer them are not told apart.
const peerTimeout = 10 * time.Second

// peerStatus asks a server with Prometheus' API for one of its status pages, and reports whether there was an answer.
func peerStatus(ctx context.Context, client *http.Client, base, page string, to any) bool {
	u, err := url.Parse(base)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("api/v1/status", page).String(), http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	answer := struct {
		Data any `json:"data"`
	}{to}
	return json.Unmarshal(body, &answer) == nil
}

// wantVarve is an error if a server says that it is another one: the database that is to be switched off has everything, and that would be ready for ever.
func wantVarve(ctx context.Context, client *http.Client, base string) error {
	var flags map[string]string
	if !peerStatus(ctx, client, base, "flags", &flags) || len(flags) == 0 {
		return nil
	}
	if _, ok := flags["bucket"]; !ok {
		return usagef("--url is no Varve by its flags: it is for a server on the bucket, not for the one that is to be switched off")
	}
	return nil
}

// prometheus2 is what is noted of answers that differ if an old Prometheus gave the source's.
const prometheus2 = "the server of the source has version 2: it counts a sample that lies just at the left end of a range, which Varve and Prometheus 3 do not. " +
	"Ask without --source-url to compare the data alone"

// noteVersion adds to queries with other answers why that may be.
func noteVersion(ctx context.Context, client *http.Client, base string, all []verify.Compared) {
	if verify.Different(all) == 0 {
		return
	}
	var build struct {
		Version string `json:"version"`
	}
	if !peerStatus(ctx, client, base, "buildinfo", &build) || !strings.HasPrefix(build.Version, "2.") {
		return
	}
	for i := range all {
		if !all[i].Equal && strings.ContainsAny(all[i].Query, "[") {
			all[i].Notes = append(all[i].Notes, prometheus2)
		}
	}
}
