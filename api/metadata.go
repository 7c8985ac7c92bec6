package api

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/model"
)

// said is a storage that knows what was said of metrics, as query.Queryable does.
type said interface {
	storage.Queryable
	Metadata(ctx context.Context, metric string, startMs, endMs int64) (map[string][]model.Metadata, error)
}

func saidBy(q storage.Queryable) said {
	s, _ := q.(said)
	return s
}

// Metadata is asked for without a range. What is looked at is what is written now and a day ago; a writer's clock may be ahead of ours.
const (
	metadataBack  = 24 * time.Hour
	metadataAhead = time.Hour
)

// metadata answers GET metadata with what senders said of metrics, in Prometheus' form. There it is what its targets say now.
func (h *handler) metadata(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit")
	if err != nil {
		respondBadData(w, err)
		return
	}
	perMetric, err := number(r, "limit_per_metric")
	if err != nil {
		respondBadData(w, err)
		return
	}
	now := h.now()
	found, err := h.said.Metadata(r.Context(), r.Form.Get("metric"), now.Add(-metadataBack).UnixMilli(), now.Add(metadataAhead).UnixMilli())
	if err != nil {
		respondFailure(w, err)
		return
	}
	out := map[string][]metadata.Metadata{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if limit >= 0 && len(out) >= limit {
			break
		}
		list := found[name]
		if perMetric > 0 && len(list) > perMetric {
			list = list[:perMetric]
		}
		for _, m := range list {
			out[name] = append(out[name], metadata.Metadata{Type: m.Type, Unit: m.Unit, Help: m.Help})
		}
	}
	respondData(w, out)
}

// number is an optional parameter, -1 if it is not given.
func number(r *http.Request, name string) (int, error) {
	text := r.Form.Get(name)
	if text == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s must be a number", name)
	}
	return n, nil
}
