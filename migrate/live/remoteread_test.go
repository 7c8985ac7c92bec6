package live

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// TestRemoteRead takes over what Prometheus' own handler serves, in both forms; once more does nothing, and asks only for the day that is not over.
func TestRemoteRead(t *testing.T) {
	for _, samples := range []bool{false, true} {
		t.Run(fmt.Sprintf("samples %v", samples), func(t *testing.T) {
			w := newWorld(t).threeDays()
			s := w.serve(w.remoteRead(samples, 0))
			want := w.contents()
			r, skips := w.take(s, NewRemoteRead, all(), nil)
			require.Empty(t, skips.Named())
			require.Equal(t, int64(len(want)), r.Samples)
			require.Equal(t, 4, r.Days)
			w.Complete(want)
			s.asked.Store(0)
			r, _ = w.take(s, NewRemoteRead, all(), nil)
			require.Zero(t, r.Blocks)
			require.Equal(t, 4, r.Already)
			require.LessOrEqual(t, s.asked.Load(), int64(24), "the day that is not over is asked for, the others are not")
			require.Positive(t, s.asked.Load())
			w.Complete(want)
		})
	}
}

// TestSampleLimit finds out how much the server gives at one time.
func TestSampleLimit(t *testing.T) {
	w := newWorld(t).threeDays()
	s := w.serve(w.remoteRead(true, 20))
	w.take(s, NewRemoteRead, all(), nil)
	w.Complete(w.contents())
	// One scrape has seven samples, and cannot be cut.
	s = w.serve(w.remoteRead(true, 5))
	skips := migrate.NewSkips(false)
	c, _ := w.Components()
	cfg := all()
	cfg.Name = "other"
	src := w.open(s, NewRemoteRead, skips, nil)
	_, err := migrate.Run(context.Background(), cfg, c, src, skips)
	require.ErrorContains(t, err, "it is too much even for")
	require.ErrorContains(t, err, "exceeded sample limit (5)")
	require.NoError(t, src.Close())
}

// TestMatchers are sent to the server and applied to what it answers; the range is kept to.
func TestMatchers(t *testing.T) {
	w := newWorld(t).threeDays()
	all := all()
	all.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m1"), labels.MustNewMatcher(labels.MatchEqual, "replica", "a")}
	all.Range = &model.TimeRange{MinMs: migratetest.FirstDay.Range().MinMs + 600_000, MaxMs: migratetest.FirstDay.Range().MinMs + 3_000_001}
	want := map[string]string{}
	for k, v := range w.contents() {
		for n := int64(1); n <= 5; n++ {
			if k == fmt.Sprintf("%s %d", labels.FromStrings("__name__", "m1", "A", "x", "i", "1", "replica", "a"), migratetest.FirstDay.Range().MinMs+n*600_000) {
				want[k] = v
			}
		}
	}
	require.Len(t, want, 5)
	for n, sent := range [][]*labels.Matcher{nil, all.Matchers} {
		all.Name = fmt.Sprint(n)
		w.take(w.serve(w.remoteRead(false, 0)), NewRemoteRead, all, &Options{Matchers: sent})
		got, _, _ := w.Read()
		migratetest.Same(t, want, got)
	}
}

// TestGrowing takes over a day while it goes on: each time what is new comes, and what is there stays once to a reader.
func TestGrowing(t *testing.T) {
	w := newWorld(t)
	at := w.NowMs - 6*3_600_000
	for n := range int64(3) {
		w.scrape(at+n*3_600_000, at+n*3_600_000+1_800_000, 600_000)
		s := w.serve(w.remoteRead(n == 1, 0))
		for again := range 2 {
			r, _ := w.take(s, NewRemoteRead, all(), nil)
			require.Equal(t, again == 0, r.Blocks > 0, "the same content is taken over once, in whatever form it comes")
			got, _, _ := w.Read()
			migratetest.Same(t, w.contents(), got)
		}
	}
}

// TestRefetch brings what came late to a day that was over.
func TestRefetch(t *testing.T) {
	w := newWorld(t).threeDays()
	s := w.serve(w.remoteRead(false, 0))
	w.take(s, NewRemoteRead, all(), nil)
	before := w.contents()
	w.scrape(migratetest.FirstDay.Range().MinMs+1, migratetest.FirstDay.Range().MinMs+1, 1)
	r, _ := w.take(s, NewRemoteRead, all(), nil)
	require.Zero(t, r.Blocks)
	w.Complete(before)
	cfg := all()
	cfg.Refetch = true
	r, _ = w.take(s, NewRemoteRead, cfg, nil)
	require.Positive(t, r.Blocks)
	require.Equal(t, 3, r.Already)
	got, _, _ := w.Read()
	migratetest.Same(t, w.contents(), got)
}

// TestDryRun counts and leaves nothing, on disk neither.
func TestDryRun(t *testing.T) {
	w := newWorld(t).threeDays()
	cfg := all()
	cfg.DryRun = true
	dir := t.TempDir()
	skips := migrate.NewSkips(true)
	s := w.serve(w.remoteRead(false, 0))
	src, err := NewRemoteRead(s.URL, skips, &Options{TempDir: dir, SortBytes: 1}, w.clock(s.Client()))
	require.NoError(t, err)
	var last migrate.Progress
	r, err := migrate.Run(context.Background(), cfg, migrate.Components{Now: w.Now, Progress: func(p migrate.Progress) {
		require.LessOrEqual(t, len(p.Fetching), 2)
		last = p
	}}, src, skips)
	require.NoError(t, err)
	require.Equal(t, int64(len(w.contents())), r.Samples)
	require.Equal(t, r.Samples, last.Fetched)
	require.Equal(t, last.ExpectedMs, last.FetchedMs)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "days are let go of")
	got, _, _ := w.Read()
	require.Empty(t, got)
}

// TestOldest asks the server how far back it goes.
func TestOldest(t *testing.T) {
	for _, path := range []string{"", "/", "/prom", "/prom/api/v1/read"} {
		t.Run(path, func(t *testing.T) { testOldest(t, path) })
	}
}

func testOldest(t *testing.T, path string) {
	w := newWorld(t).threeDays()
	mux := http.NewServeMux()
	at := strings.TrimSuffix(strings.TrimSuffix(path, "/api/v1/read"), "/")
	mux.Handle(at+"/api/v1/read", w.remoteRead(false, 0))
	s := w.serve(mux)
	s.URL += path
	cfg := migratetest.Small()
	c, _ := w.Components()
	skips := migrate.NewSkips(true)
	src := w.open(s, NewRemoteRead, skips, nil)
	_, err := migrate.Run(context.Background(), cfg, c, src, skips)
	require.ErrorIs(t, err, model.ErrInvalid)
	require.ErrorContains(t, err, "--start")
	require.NoError(t, src.Close())
	mux.HandleFunc(at+"/metrics", func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(rw, "# TYPE %[1]s gauge\n%[1]s %[2]e\nx 1\n", oldestMetric, float64(migratetest.FirstDay.Range().MinMs)/1000)
	})
	w.take(s, NewRemoteRead, cfg, nil)
	w.Complete(w.contents())
}

// TestSelect is how a comparison reads a server.
func TestSelect(t *testing.T) {
	w := newWorld(t).threeDays()
	skips := migrate.NewSkips(true)
	src := w.open(w.serve(w.remoteRead(false, 0)), NewRemoteRead, skips, nil)
	defer func() { require.NoError(t, src.Close()) }()
	sel, err := migrate.Select(all(), w.Now, src, skips)
	require.NoError(t, err)
	days, err := sel.Days(context.Background())
	require.NoError(t, err)
	got := map[string]string{}
	for _, e := range days {
		for s, err := range sel.Series(context.Background(), e) {
			require.NoError(t, err)
			migratetest.Put(got, s.Labels, s.Columns)
		}
	}
	migratetest.Same(t, w.contents(), got)
	require.Empty(t, src.days)
}
