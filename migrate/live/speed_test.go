package live

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// BenchmarkRemoteRead takes over a day of 1000 series, scraped every 15 s, from a server that has its answers ready.
func BenchmarkRemoteRead(b *testing.B) {
	db := migratetest.ScrapedDay(b, b.TempDir(), 5760)
	defer db.Close()
	at := migratetest.FirstDay.Range().MinMs
	h := remote.NewReadHandler(nil, nil, db, func() promconfig.Config { return promconfig.Config{} }, 0, 10, 1<<20)
	var mu sync.Mutex
	ready := map[string]*httptest.ResponseRecorder{}
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		a := ready[string(body)]
		if a == nil {
			r.Body = io.NopCloser(bytes.NewReader(body))
			a = recorded(h, r)
			ready[string(body)] = a
		}
		mu.Unlock()
		copyHeader(rw, a)
		rw.Write(a.Body.Bytes())
	}))
	defer s.Close()
	run := func() *migrate.Report {
		bucket := blob.New(mem.New(), nil)
		skips := migrate.NewSkips(true)
		now := func() time.Time { return time.UnixMilli(at + 2*model.MsPerDay) }
		src, err := NewRemoteRead(s.URL, skips, &Options{TempDir: b.TempDir(), Requests: 1}, Components{Client: s.Client(), Now: now})
		require.NoError(b, err)
		r, err := migrate.Run(context.Background(), &migrate.Config{Tenant: "t", Range: &model.TimeRange{MinMs: at, MaxMs: at + model.MsPerDay - 1}},
			migrate.Components{Bucket: bucket, Now: now, Catalog: catalog.New(bucket, nil, catalog.Components{})}, src, skips)
		require.NoError(b, err)
		require.NoError(b, src.Close())
		return r
	}
	run()
	b.ResetTimer()
	before := migratetest.CPU()
	samples := int64(0)
	for b.Loop() {
		samples += run().Samples
	}
	b.ReportMetric(float64(samples)/(migratetest.CPU()-before)/1e6, "Msamples/cpu-s")
}
