package live

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
)

// TestBrokenReplica asks two replicas behind a balancer, which have the same series at other times: the answer of the first breaks off, and the day is that of the second.
func TestBrokenReplica(t *testing.T) {
	first, second := newWorld(t), newWorld(t)
	r := migratetest.FirstDay.Range()
	first.scrape(r.MinMs, r.MaxMs, 120_000)
	second.scrape(r.MinMs+47_000, r.MaxMs, 120_000)
	for _, c := range []struct {
		name   string
		open   opener
		answer func(*world) http.Handler
		want   map[string]string
	}{
		{"chunks", NewRemoteRead, func(w *world) http.Handler { return w.remoteRead(false, 0) }, second.contents()},
		{"samples", NewRemoteRead, func(w *world) http.Handler { return w.remoteRead(true, 0) }, second.contents()},
		{"victoria", NewVictoria, func(w *world) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if w == first {
					rw.Write([]byte("rubbish\n"))
				}
				w.victoria(false).ServeHTTP(rw, r)
			})
		}, second.floats()},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Where it breaks: somewhere, and where only the end is missing.
			for _, behind := range []float64{second.Rand.Float64(), 1} {
				asked, length := 0, 0
				skips := migrate.NewSkips(false)
				src := second.oneSlice(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if asked++; asked > 1 {
						c.answer(second).ServeHTTP(rw, r)
						return
					}
					a := httptest.NewRecorder()
					c.answer(first).ServeHTTP(a, r)
					length = a.Body.Len()
					cutAt(int(behind*float64(length)))(rw, a)
				}), c.open, skips, 3)
				got, err := fetchDay(src)
				require.NoError(t, err)
				require.Equal(t, 2, asked)
				migratetest.Same(t, c.want, got, "broken behind %v of %d bytes", behind, length)
				require.Empty(t, skips.Named(), "nothing is missing for what only the broken answer had")
				require.NoError(t, src.Close())
			}
		})
	}
}
