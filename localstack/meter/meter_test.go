package meter

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRounds(t *testing.T) {
	at := func(from, to int) span {
		return span{time.Unix(0, int64(from)), time.Unix(0, int64(to))}
	}
	for want, spans := range [][]span{
		{},
		{at(1, 30), at(2, 31), at(3, 32)},
		{at(1, 30), at(31, 60), at(2, 90)}, // a chain beside one long request
		{at(1, 30), at(30, 60), at(60, 61)},
	} {
		require.Equal(t, want, rounds(spans), "%v", spans)
	}
}

// TestProxy sends all kinds of requests through proxies that allow all and little.
func TestProxy(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b/missing" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Seen-Host", r.Host)
		_, _ = io.WriteString(w, "0123456789")
	}))
	defer backend.Close()
	addr := strings.TrimPrefix(backend.URL, "http://")
	for _, readOnly := range []bool{false, true} {
		p, err := Start(addr, &Options{ReadOnly: readOnly, Latency: 20 * time.Millisecond})
		require.NoError(t, err)
		client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
		do := func(method, path string) (int, string) {
			r, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.Addr()+path, http.NoBody)
			require.NoError(t, err)
			resp, err := client.Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			if resp.StatusCode == http.StatusOK {
				require.Equal(t, p.Addr(), resp.Header.Get("Seen-Host"), "the host that was signed")
			}
			return resp.StatusCode, string(body)
		}
		p.Reset()
		status, body := do(http.MethodGet, "/b/w/roster")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "0123456789", body)
		missing, rest := http.StatusNotFound, http.StatusOK
		if readOnly {
			missing, rest = http.StatusForbidden, http.StatusForbidden
		}
		status, _ = do(http.MethodGet, "/b/missing")
		require.Equal(t, missing, status)
		status, _ = do(http.MethodGet, "/b?list-type=2")
		require.Equal(t, rest, status)
		status, _ = do(http.MethodPut, "/b/key")
		require.Equal(t, rest, status)
		c := p.Counts()
		require.Equal(t, 4, c.Rounds, "one after the other")
		require.Equal(t, []int{2, 1, 1, 0}, []int{c.Gets, c.Lists, c.Others, c.Failed})

		p.Reset()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { do(http.MethodGet, "/b/key") })
		}
		wg.Wait()
		c = p.Counts()
		require.Equal(t, Counts{Gets: 5, Bytes: 50, Rounds: c.Rounds}, c)
		require.GreaterOrEqual(t, c.Rounds, 1)
		client.CloseIdleConnections()
		require.NoError(t, p.Close())
	}
}
