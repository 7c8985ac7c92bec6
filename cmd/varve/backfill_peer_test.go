package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate/verify"
)

// TestPeers: the server to ask for the live path is not the one that is to be switched off, and one of version 2 is told of where answers differ.
func TestPeers(t *testing.T) {
	for name, c := range map[string]struct {
		status              int
		flags, build        string
		wantRefused, wantV2 bool
	}{
		"varve":      {200, `{"data":{"bucket":"file:///x","listen":":1"}}`, `{"data":{"version":"development"}}`, false, false},
		"prometheus": {200, `{"data":{"storage.tsdb.path":"data"}}`, `{"data":{"version":"2.42.0+ds"}}`, true, true},
		"three":      {200, `{"data":{"storage.tsdb.path":"data"}}`, `{"data":{"version":"3.2.0"}}`, true, false},
		"no flags":   {200, `{"data":{}}`, `{"data":{}}`, false, false},
		"rubbish":    {200, `<html>`, `[`, false, false},
		"refusing":   {403, `{"data":{"storage.tsdb.path":"data"}}`, `{"data":{"version":"2.1"}}`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(c.status)
				switch r.URL.Path {
				case "/below/api/v1/status/flags":
					fmt.Fprint(w, c.flags)
				case "/below/api/v1/status/buildinfo":
					fmt.Fprint(w, c.build)
				}
			}))
			defer server.Close()
			err := wantVarve(context.Background(), server.Client(), server.URL+"/below/")
			require.Equal(t, c.wantRefused, err != nil, "%v", err)
			all := []verify.Compared{{Query: "rate(x[1m])"}, {Query: "rate(x[1m])", Equal: true}, {Query: "x"}}
			noteVersion(context.Background(), server.Client(), server.URL+"/below", all)
			require.Equal(t, c.wantV2, len(all[0].Notes) == 1)
			require.Empty(t, all[1].Notes)
			require.Empty(t, all[2].Notes)
		})
	}
	require.NoError(t, wantVarve(context.Background(), http.DefaultClient, "http://127.0.0.1:1"), "what does not answer is told by whoever reads it")
}
