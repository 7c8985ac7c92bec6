package server

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// deletes is a Deleter that remembers what it was asked.
type deletes struct {
	tenant    string
	match     []string
	r         model.TimeRange
	id        string
	cleaned   int
	cleanedOf string
	answer    Deletion
	err       error
}

func (d *deletes) DeleteSeries(_ context.Context, tenantName string, match []string, r model.TimeRange, id string) (Deletion, error) {
	d.tenant, d.match, d.r, d.id = tenantName, match, r, id
	return d.answer, d.err
}

func (d *deletes) CleanTombstones(_ context.Context, tenantName string) error {
	d.cleaned++
	d.cleanedOf = tenantName
	return nil
}

func TestDeleteSeries(t *testing.T) {
	d := &deletes{answer: Deletion{ID: "x1"}}
	h := New(nil, Components{Deleter: d}).Handler()
	w := do(h, "POST", pathDelete+"?match[]=up&match[]={a=%22b%22}&start=1.5&end=1970-01-01T00:00:02Z&id=y", nil, "X-Scope-OrgID", "acme")
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, "x1", w.Header().Get(deletionHeader))
	require.Equal(t, "acme", d.tenant)
	require.Equal(t, []string{"up", `{a="b"}`}, d.match)
	require.Equal(t, model.TimeRange{MinMs: 1500, MaxMs: 2000}, d.r)
	require.Equal(t, "y", d.id)

	w = do(h, "PUT", pathDelete, []byte("match[]=up"), "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusOK/100, w.Code/100)
	w = do(h, "POST", pathDelete, []byte("match[]=up"), "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, d.r)

	d.answer.Unreached = []string{"w1", "w2"}
	w = do(h, "POST", pathDelete+"?match[]=up", nil)
	require.Equal(t, http.StatusAccepted, w.Code)
	require.JSONEq(t, `{"status":"success","data":{"id":"x1","unreached":["w1","w2"]},"warnings":["these writers could not be reached, what they hold in memory is not deleted; repeat the request with the parameter id=x1 when they are back or were adopted: w1, w2"]}`, w.Body.String())

	for _, query := range []string{"", "?match[]=up&start=x", "?match[]=up&end=1e300", "?match[]=up&start=2&end=1"} {
		w = do(h, "POST", pathDelete+query, nil)
		require.Equal(t, http.StatusBadRequest, w.Code, query)
		require.Contains(t, w.Body.String(), `"errorType":"bad_data"`)
	}
	d.err = fmt.Errorf("selector: %w", model.ErrInvalid)
	w = do(h, "POST", pathDelete+"?match[]=x", nil)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, "x1", w.Header().Get(deletionHeader), "what to repeat")
	require.Equal(t, http.StatusMethodNotAllowed, do(h, "GET", pathDelete+"?match[]=x", nil).Code)

	w = do(h, "POST", pathClean, nil)
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, 1, d.cleaned)
	require.Equal(t, "default", d.cleanedOf)
}
