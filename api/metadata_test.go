package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// saying is a storage that knows metadata, or fails.
type saying struct {
	storage.Queryable
	of    map[string][]model.Metadata
	err   error
	asked string
}

func (s *saying) Metadata(_ context.Context, metric string, startMs, endMs int64) (map[string][]model.Metadata, error) {
	s.asked = fmt.Sprint(metric, " ", startMs, " ", endMs)
	return s.of, s.err
}

func TestMetadata(t *testing.T) {
	s := &saying{of: map[string][]model.Metadata{
		"b": {{Type: "counter", Unit: "s", Help: "new"}, {Type: "counter", Help: "old"}}, "a": {{Type: "unknown"}},
	}}
	h := &handler{said: saidBy(s), now: func() time.Time { return time.UnixMilli(100_000_000) }, router: http.NotFoundHandler()}
	ask := func(form string) string {
		r := httptest.NewRequest(http.MethodGet, Prefix+"/metadata?"+form, nil)
		require.NoError(t, r.ParseForm())
		w := httptest.NewRecorder()
		h.own(r).ServeHTTP(w, r)
		return fmt.Sprint(w.Code, " ", w.Body)
	}
	const a, b = `"a":[{"type":"unknown","unit":"","help":""}]`, `"b":[{"type":"counter","unit":"s","help":"new"}`
	require.Equal(t, `200 {"status":"success","data":{`+a+`,`+b+`,{"type":"counter","unit":"","help":"old"}]}}`+"\n", ask(""))
	require.Equal(t, " 13600000 103600000", s.asked, "a day back, and an hour ahead")
	require.Equal(t, `200 {"status":"success","data":{`+a+`,`+b+`]}}`+"\n", ask("limit_per_metric=1&limit=2"))
	require.Equal(t, `200 {"status":"success","data":{`+a+`}}`+"\n", ask("limit=1"))
	require.Equal(t, `200 {"status":"success","data":{}}`+"\n", ask("limit=0"))
	ask("metric=" + url.QueryEscape("ü m"))
	require.Equal(t, "ü m 13600000 103600000", s.asked)
	require.Equal(t, `400 {"error":"limit must be a number","errorType":"bad_data","status":"error"}`+"\n", ask("limit=x"))
	require.Equal(t, `400 {"error":"limit_per_metric must be a number","errorType":"bad_data","status":"error"}`+"\n", ask("limit_per_metric=1.5"))
	for err, want := range map[error]string{
		model.ErrUnavailable: "503", model.ErrCorrupt: "500", model.ErrNotFound: "404", context.DeadlineExceeded: "503", context.Canceled: "499", model.ErrLimit: "429",
	} {
		s.err = fmt.Errorf("read: %w", err)
		require.Equal(t, want, ask("")[:3])
	}
	require.Nil(t, saidBy(nothingSaid{}), "a storage that knows nothing of the kind")
}

type nothingSaid struct{ storage.Queryable }
