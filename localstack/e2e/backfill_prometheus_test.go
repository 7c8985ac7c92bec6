//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/localstack/process"
)

// TestBackfillPrometheus gives Debian's Prometheus some days of series of every kind, lets it scrape, deletes some, and takes over what it
// has in each of the ways there are; whatever the way, and however often it was killed, the bucket then holds what Prometheus itself answers.
func TestBackfillPrometheus(t *testing.T) {
	needDebian(t, "prometheus")
	p := startSource(t, random(t), "0s", 0)
	p.configure(true)
	t.Run("directory in use", p.testInUse)
	p.stop()
	t.Run("directory", p.testDirectory)
	t.Run("snapshot", p.testSnapshot)
	t.Run("remote read", p.testRemoteRead)
	t.Run("verify", p.testVerify)
	t.Run("Thanos", p.testThanos)
	t.Run("Mimir", p.testMimir)
	t.Run("killed", p.testKilled)
	t.Run("beside", p.testBeside)
}

// TestBackfillLate takes over the directory of a Prometheus that took samples out of order, some of them for times that it had already. What came late is kept. Which of the two
// Prometheus answers depends on how its chunks lie: 2.42 says the late one for times that are in a block, and the first one right behind the block's end.
func TestBackfillLate(t *testing.T) {
	needDebian(t, "prometheus")
	rng := random(t)
	p := startSource(t, rng, "2h", time.Duration(rng.Int64N(int64(2*time.Hour)))) // the late samples are in the log, in a block, or on both sides of its end
	req, lates := &prompb.WriteRequest{}, []*prompb.TimeSeries(nil)
	for i, ts := range p.past.slice(p.past.samples-90, p.past.samples-10) {
		if name := ts.Labels[0].Value; name != "past_gauge" && name != "past_total" || ts.Labels[1].Value == "3" {
			continue
		}
		for k := range ts.Samples {
			ts.Samples[k].Value = float64(k)
			ts.Samples[k].Timestamp += int64(i%3) * 20_000 // a third of the series gets another value for the same time
		}
		req.Timeseries, lates = append(req.Timeseries, *ts), append(lates, ts)
	}
	status, body, err := call(t.Context(), http.MethodPost, p.url("/api/v1/write"), writeHeader(), bytes.NewReader(encodeWrite(t, req)))
	if err != nil || status/100 != 2 {
		t.Fatalf("late samples: %d, %v: %.300s", status, err, body)
	}
	want, ties := p.contents(time.Now()), 0
	ordered := p.past.contents()
	for key, late := range contentsOf(lates) {
		for _, one := range late {
			i, ok := at(want[key], one.t)
			if !ok {
				t.Fatalf("Prometheus does not answer what %s got late at %d", key, one.t)
			}
			k, tie := at(ordered[key], one.t)
			if got := want[key][i].bits; got != one.bits && !(tie && got == ordered[key][k].bits) {
				t.Fatalf("Prometheus answers %#x for %s at %d, which it never got", got, key, one.t)
			}
			if tie {
				ties++
			}
			want[key][i] = one
		}
	}
	if ties == 0 {
		t.Fatal("no sample came late for a time that had one")
	}
	backfillTwice(t, fileBucket(t), want, "--from", "prometheus", p.dir)
}

// at finds the sample of a time.
func at(points []point, ms int64) (int, bool) {
	return slices.BinarySearchFunc(points, ms, func(p point, ms int64) int { return cmp.Compare(p.t, ms) })
}

// A source is a Prometheus that has a history.
type source struct {
	t        *testing.T
	addr     string
	dir      string // its data
	config   string
	p        *process.Process
	past     *past
	from     time.Time
	late     string
	snapshot string
	want     contents // all that it answers, once it is stopped
}

// startSource starts a Prometheus that gets a past, merges what it is due to merge, and has some of it deleted. late is how old samples may be that come out of order,
// and its past ended that long ago.
func startSource(t *testing.T, rng *rand.Rand, late string, ago time.Duration) *source {
	t.Helper()
	addr, err := process.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	s := &source{t: t, addr: addr, dir: filepath.Join(root, "data"), config: filepath.Join(root, "prometheus.yml"), late: late}
	s.past = newPast(rng, time.Now().Add(-2*time.Minute-ago), long(12, 3))
	s.from = s.past.from.Add(-time.Hour)
	s.configure(false)
	s.p, err = process.Start(t.Context(), "prometheus", &process.Options{
		Args: []string{
			"--config.file=" + s.config, "--storage.tsdb.path=" + s.dir, "--storage.tsdb.retention.time=10y", "--web.listen-address=" + addr,
			"--web.enable-remote-write-receiver", "--web.enable-admin-api", "--enable-feature=native-histograms",
		},
		Log: filepath.Join(root, "prometheus.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.p.Kill(); err != nil {
			t.Error(err)
		}
	})
	if err := s.p.WaitReady(t.Context(), s.url("/-/ready")); err != nil {
		t.Fatal(err)
	}
	s.past.write(t, s.url("/api/v1/write"))
	s.waitMerged()
	requireEqual(t, "the past in Prometheus", s.past.contents(), s.contents(time.Now()), false)
	s.delete(`past_gauge{i="3"}`, time.Time{}, time.Time{})
	s.delete(`past_total{i="1"}`, s.past.from.Add(20*time.Hour), s.past.from.Add(40*time.Hour))
	s.delete(`{__name__="past_seconds",i="2"}`, time.Now().Add(-time.Hour), time.Time{})
	return s
}

func (s *source) url(path string) string { return "http://" + s.addr + path }

// configure has it scrape itself, or nothing.
func (s *source) configure(scrape bool) {
	s.t.Helper()
	text := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nstorage: {tsdb: {out_of_order_time_window: " + s.late + "}}\nscrape_configs:\n  - job_name: itself\n"
	if scrape {
		text += fmt.Sprintf("    static_configs: [{targets: ['%s']}]\n", s.addr)
	}
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if s.p == nil {
		return
	}
	if err := s.p.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
	s.await("its targets", func() bool {
		n, _ := sumMetric(s.metrics(), "prometheus_target_scrape_pool_targets")
		return (n > 0) == scrape
	})
}

func (s *source) metrics() string {
	s.t.Helper()
	_, body, err := call(s.t.Context(), http.MethodGet, s.url("/metrics"), nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

// await asks again and again, for ten minutes: on a busy machine Prometheus takes some of them to merge days.
func (s *source) await(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("Prometheus does not come to %s", what)
		}
	}
}

// waitMerged waits until only the last hours are in no block.
func (s *source) waitMerged() {
	s.t.Helper()
	s.await("blocks of what it was given", func() bool {
		text := s.metrics()
		from, _ := sumMetric(text, "prometheus_tsdb_head_min_time")
		to, _ := sumMetric(text, "prometheus_tsdb_head_max_time")
		blocks, _ := sumMetric(text, "prometheus_tsdb_blocks_loaded")
		return blocks > 0 && to-from < 3.5*3600e3
	})
}

// delete deletes what a selector matches, within a range if there is one.
func (s *source) delete(selector string, from, to time.Time) {
	s.t.Helper()
	form := url.Values{"match[]": {selector}}
	for name, at := range map[string]time.Time{"start": from, "end": to} {
		if !at.IsZero() {
			form.Set(name, strconv.FormatInt(at.Unix(), 10))
		}
	}
	status, body, err := call(s.t.Context(), http.MethodPost, s.url("/api/v1/admin/tsdb/delete_series?"+form.Encode()), nil, nil)
	if err != nil || status/100 != 2 {
		s.t.Fatalf("delete %s: %d, %v: %.300s", selector, status, err, body)
	}
}

func (s *source) contents(end time.Time) contents {
	s.t.Helper()
	return remoteReadChunks(s.t, s.url(""), s.from, end)
}

// testInUse takes over the directory while Prometheus scrapes into it.
func (s *source) testInUse(t *testing.T) {
	s.await("some scrapes", func() bool {
		n, _ := sumMetric(s.metrics(), "prometheus_target_interval_length_seconds_count")
		return n >= 5
	})
	end := time.Now().Truncate(time.Second)
	s.await("a scrape behind the end", func() bool { // so all those before it are in the log, however long they took
		last, _ := sumMetric(s.metrics(), "prometheus_tsdb_head_max_time")
		return last > float64(end.UnixMilli())
	})
	b := fileBucket(t)
	backfill(t, b, "--from", "prometheus", "--end", end.UTC().Format(time.RFC3339), s.dir)
	want := s.contents(end)
	if series, samples, _ := want.count(); series < len(s.past.series)+100 {
		t.Fatalf("Prometheus has %d series, %d samples: it has not scraped", series, samples)
	}
	requireHolds(t, b, want)
}

// stop ends the scraping, and notes what there is then. Prometheus goes on to answer.
func (s *source) stop() {
	s.t.Helper()
	s.configure(false)
	before := -1.0
	s.await("rest", func() bool { // staleness markers come two intervals after the last scrape, all at once
		n, _ := sumMetric(s.metrics(), "prometheus_tsdb_head_samples_appended_total")
		calm := n == before
		before = n
		time.Sleep(3 * time.Second)
		if !calm {
			return false
		}
		s.want = s.contents(time.Now())
		_, _, stale := s.want.count()
		return stale >= 100
	})
	series, samples, stale := s.want.count()
	s.t.Logf("Prometheus has %d series, %d samples, of which %d are staleness markers", series, samples, stale)
	status, body, err := call(s.t.Context(), http.MethodPost, s.url("/api/v1/admin/tsdb/snapshot"), nil, nil)
	var answer struct{ Data struct{ Name string } }
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil || answer.Data.Name == "" {
		s.t.Fatalf("snapshot: %d, %v: %.300s", status, err, body)
	}
	s.snapshot = filepath.Join(s.dir, "snapshots", answer.Data.Name)
}

func (s *source) testDirectory(t *testing.T) {
	backfillTwice(t, fileBucket(t), s.want, "--from", "prometheus", s.dir)
}

func (s *source) testSnapshot(t *testing.T) {
	backfillTwice(t, fileBucket(t), s.want, "--from", "prometheus", s.snapshot)
}

func (s *source) testRemoteRead(t *testing.T) {
	b := fileBucket(t)
	args := []string{"--from", "remote-read", s.url("")}
	backfill(t, b, args...)
	requireHolds(t, b, s.want)
	// The day that is not over is asked for once more.
	backfill(t, b, args...)
	requireEqual(t, "after the second time", s.want, readBucket(t, b).contents, false)
}
