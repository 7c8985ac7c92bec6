package live

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/snappy"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// world is a bucket that a server is taken over to, and the database of that server.
type world struct {
	*migratetest.World
	db *tsdb.DB
}

// newWorld begins after three days, at noon of the fourth.
func newWorld(t *testing.T) *world {
	w := &world{World: migratetest.New(t)}
	w.NowMs = (migratetest.FirstDay + 3).Range().MinMs + 12*3_600_000
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	opts.OutOfOrderTimeWindow = 100 * model.MsPerDay
	db, err := tsdb.Open(t.TempDir(), nil, nil, opts, nil)
	require.NoError(t, err)
	db.DisableCompactions()
	w.db = db
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return w
}

// scrape appends some samples at each of the times, every so often.
func (w *world) scrape(from, to, every int64) {
	for at := from; at <= to; at += every {
		app := w.db.Appender(context.Background())
		for i := range 4 {
			v := float64(w.Rand.IntN(1000))
			if w.Rand.IntN(9) == 0 {
				v = math.Float64frombits(0x7ff0000000000002)
			}
			_, err := app.Append(0, labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "A", "x", "i", fmt.Sprint(i)), at, v)
			require.NoError(w.T, err)
		}
		_, err := app.Append(0, labels.FromStrings("no", "name"), at, w.Rand.Float64())
		require.NoError(w.T, err)
		_, err = app.AppendHistogram(0, labels.FromStrings("__name__", "whole"), at, tsdbutil.GenerateTestHistogram(w.Rand.Int64N(100)), nil)
		require.NoError(w.T, err)
		_, err = app.AppendHistogram(0, labels.FromStrings("__name__", "float"), at, nil, tsdbutil.GenerateTestFloatHistogram(w.Rand.Int64N(100)))
		require.NoError(w.T, err)
		require.NoError(w.T, app.Commit())
	}
}

// threeDays are scraped every ten minutes, and the morning of the fourth.
func (w *world) threeDays() *world {
	w.scrape(migratetest.FirstDay.Range().MinMs, w.NowMs-3_600_000, 600_000)
	return w
}

// contents are all samples of the database, with the labels that its server adds.
func (w *world) contents() map[string]string { return migratetest.Contents(w.T, w.db, "replica", "a") }

// remoteRead is Prometheus' own handler over the database. samples: it knows no chunks; a limit is of samples, where that is the form.
func (w *world) remoteRead(samples bool, limit int) http.Handler {
	cfg := promconfig.Config{GlobalConfig: promconfig.GlobalConfig{ExternalLabels: labels.FromStrings("replica", "a")}}
	h := remote.NewReadHandler(nil, nil, w.db, func() promconfig.Config { return cfg }, limit, 10, 2000)
	if !samples {
		return h
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		packed, _ := io.ReadAll(r.Body)
		b, _ := snappy.Decode(nil, packed)
		var q prompb.ReadRequest
		_ = q.Unmarshal(b)
		q.AcceptedResponseTypes = nil
		b, _ = q.Marshal()
		r.Body = io.NopCloser(bytes.NewReader(snappy.Encode(nil, b)))
		h.ServeHTTP(rw, r)
	})
}

// server serves, and counts requests.
type server struct {
	*httptest.Server
	asked atomic.Int64
}

func (w *world) serve(h http.Handler) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		h.ServeHTTP(rw, r)
	}))
	s.Config.ErrorLog = nil
	w.T.Cleanup(s.Close)
	return s
}

// clock are the components of sources: the clock stands, waiting takes no time.
func (w *world) clock(c *http.Client) Components {
	return Components{
		Client: c, Now: func() time.Time { return time.UnixMilli(w.NowMs) }, Rand: func() float64 { return 0.5 },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

// opener makes a source of a server.
type opener func(string, *migrate.Skips, *Options, Components) (*Source, error)

// open opens a source that sorts on disk.
func (w *world) open(s *server, open opener, skips *migrate.Skips, o *Options) *Source {
	if o == nil {
		o = &Options{}
	}
	o.TempDir, o.SortBytes = w.T.TempDir(), 1
	src, err := open(s.URL, skips, o, w.clock(s.Client()))
	require.NoError(w.T, err)
	return src
}

// all is a job over the days of the database.
func all() *migrate.Config {
	cfg := migratetest.Small()
	cfg.Range = &model.TimeRange{MinMs: migratetest.FirstDay.Range().MinMs, MaxMs: model.MaxTimeMs}
	return cfg
}

// take runs a job over the server, which must succeed.
func (w *world) take(s *server, open opener, cfg *migrate.Config, o *Options) (*migrate.Report, *migrate.Skips) {
	w.T.Helper()
	skips := migrate.NewSkips(false)
	src := w.open(s, open, skips, o)
	defer func() { require.NoError(w.T, src.Close()) }()
	return w.Backfill(cfg, src, skips), skips
}
