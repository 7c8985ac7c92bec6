package live

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// oldestMetric is what a Prometheus says of its first sample, in milliseconds.
const oldestMetric = "prometheus_tsdb_lowest_timestamp_seconds"

// maxMetricsBytes bounds what is read of a server's metrics.
const maxMetricsBytes = 16 << 20

// oldestOfMetrics looks for the time of the first sample in the metrics of a Prometheus, which lie beside its API. A server that does not tell is no error.
func oldestOfMetrics(ctx context.Context, h *client) (ms int64, ok bool) {
	prefix, _, found := strings.Cut(h.url.Path, "/api/v1/")
	if !found {
		return 0, false
	}
	u := *h.url
	u.Path, u.RawPath, u.RawQuery = prefix+"/metrics", "", ""
	err := h.do(ctx, &request{method: http.MethodGet, url: &u}, func(_ *http.Response, body io.Reader) error {
		lines := bufio.NewScanner(io.LimitReader(body, maxMetricsBytes))
		for lines.Scan() {
			value, found := strings.CutPrefix(lines.Text(), oldestMetric+" ")
			if !found {
				continue
			}
			seconds, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			// An empty database says the end of all time.
			if err != nil || seconds <= 0 || seconds > 1e11 {
				return errNoOldest
			}
			ms, ok = int64(seconds*1000), true
			return nil
		}
		return errNoOldest
	})
	return ms, ok && err == nil
}

// errNoOldest: the metrics do not tell.
var errNoOldest = errors.New("no time of a first sample")
