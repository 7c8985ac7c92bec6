package wire

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func TestFlush(t *testing.T) {
	writer, status := "w1", http.StatusNoContent
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, FlushPath, r.URL.Path)
		require.Equal(t, http.MethodPost, r.Method)
		w.Header().Set(WriterHeader, writer)
		w.WriteHeader(status)
	}))
	defer srv.Close()
	hc := NewHTTPClient()
	defer hc.CloseIdleConnections()
	for _, address := range []string{srv.URL, srv.Listener.Addr().String()} {
		require.NoError(t, Flush(t.Context(), hc, "w1", address))
	}
	require.ErrorIs(t, Flush(t.Context(), hc, "w2", srv.URL), model.ErrUnavailable, "another writer lives there")
	status = http.StatusServiceUnavailable
	require.ErrorIs(t, Flush(t.Context(), hc, "w1", srv.URL), model.ErrUnavailable)
	require.ErrorIs(t, Flush(t.Context(), hc, "w1", "127.0.0.1:1"), model.ErrUnavailable)
	require.ErrorIs(t, Flush(t.Context(), hc, "w1", ""), model.ErrInvalid)
}
