//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/localstack/emulator"
	"github.com/varvedb/varve/localstack/meter"
)

// explained is what a query says it took.
type explained struct {
	Stages       int     `json:"stages"`
	Gets         int     `json:"gets"`
	Lists        int     `json:"lists"`
	BytesFetched int64   `json:"bytes_fetched"`
	CatalogBytes int64   `json:"catalog_bytes"`
	BytesNeeded  int64   `json:"bytes_needed"`
	CostUSD      float64 `json:"cost_usd"`
}

// TestColdReads has a proxy before the store count what fresh processes ask: it is what they say of themselves, in the
// stages that are promised, with and without the right to do more than read.
func TestColdReads(t *testing.T) {
	found := clouds(t, emulator.S3)
	if len(found) == 0 {
		t.Skip("no S3 server")
	}
	b := found[0]
	alive := startServer(t, "alive", b, "--ship", "on")
	now := time.Now()
	for day := range 3 {
		for half := range 2 {
			at := now.Add(time.Duration(day-3)*24*time.Hour + time.Duration(half)*12*time.Hour)
			send(t, alive, at, 200)
			if err := alive.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(t, alive, now.Add(-10*time.Minute), 20)
	waitShipped(t, b, now.Add(-10*time.Minute))

	at := func(back time.Duration) string { return strconv.FormatInt(now.Add(-back).Unix(), 10) }
	for _, readOnly := range []bool{false, true} {
		for _, c := range []struct {
			name   string
			args   []string
			stages int
		}{
			{"instant", []string{"--time", at(time.Minute), `sum(e2e_cold)`}, 2},
			{"a series, 1h", []string{"--start", at(time.Hour), "--end", at(0), `e2e_cold{series="7"}`}, 2},
			{"24h", []string{"--start", at(24 * time.Hour), "--end", at(0), `sum by (job) (rate(e2e_cold[10m]))`}, 2},
			{"7d", []string{"--start", at(7 * 24 * time.Hour), "--end", at(0), "--step", "10m", `e2e_cold / e2e_other`}, 2},
			{"31d", []string{"--start", at(31 * 24 * time.Hour), "--end", at(0), "--step", "1h", `max_over_time(e2e_cold[1h])`}, 2},
			{"no name", []string{"--start", at(48 * time.Hour), "--end", at(0), `sum({series="7"})`}, 3},
			{"no such metric", []string{"--time", at(time.Minute), `e2e_nothing`}, 2},
		} {
			t.Run(fmt.Sprintf("query, %s, read only %v", c.name, readOnly), func(t *testing.T) {
				through, p := metered(t, b, &meter.Options{Latency: meterLatency, ReadOnly: readOnly})
				agree(t, p, c.stages, func() (e explained) {
					args := append([]string{"query", "--bucket", through.url, "--explain", "--json"}, c.args...)
					if err := json.Unmarshal([]byte(varve(t, through, args...)), &e); err != nil {
						t.Fatal(err)
					}
					return e
				})
			})
		}
	}
	t.Run("server", func(t *testing.T) {
		through, p := metered(t, b, &meter.Options{Latency: meterLatency})
		s := startServer(t, "fresh", through, "--lifecycle=false")
		span := "&start=" + at(24*time.Hour) + "&end=" + at(0)
		for _, path := range []string{
			"query?query=sum(e2e_cold)&time=" + at(time.Minute),
			"query_range?query=" + url.QueryEscape("e2e_cold / e2e_other") + "&step=60" + span,
			"series?match[]=e2e_cold" + span,
			"labels?x=1" + span,
			"label/job/values?match[]=e2e_other" + span,
			"query?query=e2e_cold{",
		} {
			agree(t, p, 2, func() explained { return askExplained(t, s.url("/api/v1/"+path+"&explain=true")) })
		}
	})
}

// meterLatency is long enough for the requests of a stage to be on their way together on a busy machine, and shorter
// than what makes a read be hedged.
const meterLatency = 150 * time.Millisecond

// metered returns the bucket behind a proxy that lasts as long as the test.
func metered(t *testing.T, b bucket, opts *meter.Options) (bucket, *meter.Proxy) {
	t.Helper()
	u, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := url.Parse(u.Query().Get("endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := meter.Start(endpoint.Host, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	b.url = strings.Replace(b.url, endpoint.Host, p.Addr(), 1)
	return b, p
}

// agree compares what a query says that it took with what the proxy saw. A machine that is busy may begin requests of one stage one after
// another, or retry, or be late with what a query before it began; so there are many tries, of which one has to agree in everything.
func agree(t *testing.T, p *meter.Proxy, stages int, run func() explained) {
	t.Helper()
	var told string
	for range 60 {
		p.Reset()
		e := run()
		c := p.Counts()
		told = fmt.Sprintf("explained %+v, seen %+v", e, c)
		switch {
		case e.Lists+c.Lists+c.Others > 0:
			t.Fatalf("more than reads: %s", told)
		case e.Stages > stages || c.Rounds < e.Stages:
			t.Fatalf("want %d stages: %s", stages, told)
		case c.Failed > 0, c.Rounds > e.Stages:
			continue
		case c.Gets != e.Gets || c.Bytes != e.BytesFetched+e.CatalogBytes:
			continue // a local copy, which the query before has made due, is fetched behind it
		}
		t.Log(told)
		return
	}
	t.Errorf("no try in which they agree: %s", told)
}

// askExplained makes a request and returns the account of it.
func askExplained(t *testing.T, url string) (e explained) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(resp.Header.Get("X-Varve-Explain")), &e); err != nil {
		t.Fatalf("%s: status %d, %v: %.300s", url, resp.StatusCode, err, body)
	}
	return e
}

// send writes two metrics of 50 series, so many samples of each, a minute apart up to a time.
func send(t *testing.T, s *server, until time.Time, samples int) {
	t.Helper()
	req := &prompb.WriteRequest{}
	for _, name := range []string{"e2e_cold", "e2e_other"} {
		for series := range 50 {
			ts := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: name}, {Name: "job", Value: fmt.Sprint(series % 3)}, {Name: "series", Value: fmt.Sprint(series)}}}
			for i := range samples {
				at := until.Add(time.Duration(i+1-samples) * time.Minute)
				ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: at.UnixMilli(), Value: float64(series*i) / 7})
			}
			req.Timeseries = append(req.Timeseries, ts)
		}
	}
	status, body, err := call(t.Context(), http.MethodPost, s.url("/api/v1/write"), writeHeader(), bytes.NewReader(encodeWrite(t, req)))
	if err != nil || status/100 != 2 {
		t.Fatalf("write: %d, %v: %s", status, err, body)
	}
}

// waitShipped waits until what was sent up to a time can be read without its writer.
func waitShipped(t *testing.T, b bucket, until time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if strings.Contains(varve(t, b, "query", "--bucket", b.url, "--time", strconv.FormatInt(until.Unix(), 10), "count(e2e_cold)"), "  50  ") {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatal("the log was not shipped")
}
