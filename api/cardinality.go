package api

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
)

const (
	// countedSpan is the range of status/tsdb by default: it is about what is written now, as a head block is.
	countedSpan = time.Hour
	// countedTop is how many entries each list has by default, countedMost at most.
	countedTop, countedMost = 10, 10_000
	// countedEntry is about what a label pair takes while it is counted, besides its text.
	countedEntry = 96
)

// tsdbStatus answers GET status/tsdb with what Prometheus says of its head: how many series, and where the most are. Here they are the series that
// have samples in a range (start and end, the last hour by default) and match (match[], all by default), counted one by one by their labels, of blocks and
// writers together. No samples are read. The counts of pairs are held while it counts, and are counted against the memory of queries.
func (h *handler) tsdbStatus(w http.ResponseWriter, r *http.Request) {
	ask, err := h.parseCount(r.Form)
	if err != nil {
		respondFailure(w, err)
		return
	}
	hold := h.memory.Open()
	defer hold.Close()
	c := &counts{hold: hold, metrics: map[string]int{}, pairs: map[string]map[string]int{}}
	warnings, err := c.count(r.Context(), h.queryable, ask)
	if err != nil {
		respondFailure(w, err)
		return
	}
	respondData(w, c.status(ask), warnings...)
}

// countAsk is a request for status/tsdb.
type countAsk struct {
	r         model.TimeRange
	selectors [][]*labels.Matcher
	limit     int
}

func (h *handler) parseCount(form url.Values) (*countAsk, error) {
	now := h.now()
	a := &countAsk{r: model.TimeRange{MinMs: now.Add(-countedSpan).UnixMilli(), MaxMs: now.UnixMilli()}, limit: countedTop}
	for name, to := range map[string]*int64{"start": &a.r.MinMs, "end": &a.r.MaxMs} {
		if text := form.Get(name); text != "" {
			t, err := parseTime(text)
			if err != nil {
				return nil, fmt.Errorf("invalid parameter %q: %w", name, err)
			}
			*to = t
		}
	}
	if a.r.Empty() {
		return nil, fmt.Errorf("invalid parameter %q: end lies before start: %w", "end", model.ErrInvalid)
	}
	if text := form.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > countedMost {
			return nil, fmt.Errorf("invalid parameter %q: %.40q is no number from 1 to %d: %w", "limit", text, countedMost, model.ErrInvalid)
		}
		a.limit = n
	}
	for _, text := range form["match[]"] {
		m, err := h.parser.ParseMetricSelector(text)
		if err != nil {
			return nil, fmt.Errorf("invalid parameter %q: %w: %w", "match[]", err, model.ErrInvalid)
		}
		a.selectors = append(a.selectors, m)
	}
	if len(a.selectors) == 0 {
		a.selectors = [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchRegexp, commonmodel.MetricNameLabel, ".*")}}
	}
	return a, nil
}

// parseTime reads Unix seconds or RFC 3339, into milliseconds.
func parseTime(text string) (int64, error) {
	if s, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(s) <= float64(model.MaxTimeMs/1000) {
		return int64(math.Round(s * 1000)), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UnixMilli(), nil
	}
	return 0, fmt.Errorf("cannot parse %.40q to a valid timestamp: %w", text, model.ErrInvalid)
}

// counts are what has been counted.
type counts struct {
	hold    *query.Hold
	series  int
	metrics map[string]int            // series by metric
	pairs   map[string]map[string]int // series by label and value
}

func (c *counts) count(ctx context.Context, from storage.Queryable, ask *countAsk) (warnings []string, err error) {
	q, err := from.Querier(ask.r.MinMs, ask.r.MaxMs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = q.Close() }()
	hints := &storage.SelectHints{Start: ask.r.MinMs, End: ask.r.MaxMs, Func: "series"}
	sets := make([]storage.SeriesSet, 0, len(ask.selectors))
	for _, matchers := range ask.selectors {
		sets = append(sets, q.Select(ctx, true, hints, matchers...))
	}
	set := storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
	for set.Next() {
		if err := c.add(set.At().Labels()); err != nil {
			return nil, err
		}
		if c.series%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	for _, w := range set.Warnings().AsErrors() {
		warnings = append(warnings, w.Error())
	}
	return warnings, set.Err()
}

func (c *counts) add(ls labels.Labels) (err error) {
	c.series++
	c.metrics[ls.Get(commonmodel.MetricNameLabel)]++
	ls.Range(func(l labels.Label) {
		values := c.pairs[l.Name]
		if values == nil {
			values = map[string]int{}
			c.pairs[l.Name] = values
		}
		if values[l.Value]++; values[l.Value] == 1 && err == nil {
			err = c.hold.Take(countedEntry + int64(len(l.Name)+len(l.Value)))
		}
	})
	return err
}

// status is the answer in Prometheus' form. What it says of chunks and of the memory of labels has no counterpart here: the bytes are those of the values.
func (c *counts) status(ask *countAsk) *v1.TSDBStatus {
	s := &v1.TSDBStatus{HeadStats: v1.HeadStats{NumSeries: uint64(c.series), MinTime: ask.r.MinMs, MaxTime: ask.r.MaxMs}}
	values, sizes := map[string]int{}, map[string]int{}
	top := newTop(ask.limit)
	for name, of := range c.pairs {
		s.HeadStats.NumLabelPairs += len(of)
		values[name] = len(of)
		for value, n := range of {
			sizes[name] += len(value)
			top.add(name+"="+value, n)
		}
	}
	s.SeriesCountByMetricName = topOf(c.metrics, ask.limit)
	s.LabelValueCountByLabelName = topOf(values, ask.limit)
	s.MemoryInBytesByLabelName = topOf(sizes, ask.limit)
	s.SeriesCountByLabelValuePair = top.sorted()
	return s
}

// top keeps the largest entries, equal ones by name.
type top struct {
	limit int
	list  []v1.TSDBStat
}

func newTop(limit int) *top { return &top{limit: limit} }

func topOf(counts map[string]int, limit int) []v1.TSDBStat {
	t := newTop(limit)
	for name, n := range counts {
		t.add(name, n)
	}
	return t.sorted()
}

func (t *top) add(name string, n int) {
	t.list = append(t.list, v1.TSDBStat{Name: name, Value: uint64(n)})
	if len(t.list) >= 4*t.limit+1024 {
		t.sorted()
	}
}

func (t *top) sorted() []v1.TSDBStat {
	slices.SortFunc(t.list, func(a, b v1.TSDBStat) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name))
	})
	t.list = t.list[:min(t.limit, len(t.list))]
	return t.list
}
