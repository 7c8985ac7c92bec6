package live

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
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
	db, err := tsdb.Open(b.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
	require.NoError(b, err)
	db.DisableCompactions()
	defer db.Close()
	at := migratetest.FirstDay.Range().MinMs
	series := make([]labels.Labels, 1000)
	for i := range series {
		series[i] = labels.FromStrings("__name__", fmt.Sprintf("metric_%d_total", i%20), "instance", fmt.Sprintf("10.0.0.%d:9100", i/20), "job", "node")
	}
	rng, values := rand.New(rand.NewPCG(1, 1)), make([]float64, len(series))
	for n := range int64(5760) {
		app := db.Appender(context.Background())
		for i, ls := range series {
			switch i % 4 {
			case 0: // a gauge
				values[i] = float64(rng.IntN(10_000)) / 100
			case 1, 2: // a counter
				values[i] += float64(rng.IntN(100))
			}
			_, err := app.Append(0, ls, at+n*15_000, values[i])
			require.NoError(b, err)
		}
		require.NoError(b, app.Commit())
	}
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
	before := cpu()
	samples := int64(0)
	for b.Loop() {
		samples += run().Samples
	}
	b.ReportMetric(float64(samples)/(cpu()-before)/1e6, "Msamples/cpu-s")
}

// cpu is the processor time that the process has used, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
