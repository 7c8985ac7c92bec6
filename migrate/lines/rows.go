package lines

import (
	"fmt"
	"strings"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// rows takes over what a file says beside samples: exemplars, and what is said of metrics. That bears no time of its own and gets that of the last sample of the
// file, as if it had been told then. A nil *rows takes nothing.
type rows struct {
	f *file
	// metrics are the names of series that are taken, said what is said of which metric; neither has more than maxMetrics, and both have bytes, about.
	metrics map[string]bool
	said    map[string]string
	bytes   int
	lastMs  int64
	// refused exemplars have no time that can be, or are too large.
	refused int64
}

const (
	// maxMetrics is as many as a server remembers.
	maxMetrics = 100_000
	// maxRowsBytes bounds what is remembered of metrics: their names may be long.
	maxRowsBytes = 32 << 20
	// maxRowBytes bounds one row.
	maxRowBytes = 16 << 10
)

// rowKey begins the keys of reserved series among those of text, none of which begins so: it is no uvarint.
const rowKey = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"

func newRows(f *file) *rows {
	return &rows{f: f, metrics: map[string]bool{}, said: map[string]string{}, lastMs: model.MinTimeMs - 1}
}

// series notes that a series is taken.
func (r *rows) series(ls labels.Labels) {
	if r == nil {
		return
	}
	if name := ls.Get(commonmodel.MetricNameLabel); !r.metrics[name] && len(r.metrics) < maxMetrics && r.room(len(name)) {
		r.metrics[strings.Clone(name)] = true
	}
}

// room takes so many bytes of what rows may remember, if that many are left.
func (r *rows) room(bytes int) bool {
	if r.bytes+bytes > maxRowsBytes {
		return false
	}
	r.bytes += bytes
	return true
}

// sample notes that a sample is taken, unless it is out of the range.
func (r *rows) sample(t int64) {
	if t > r.lastMs && t <= model.MaxTimeMs && r.f.r.Contains(t) {
		r.lastMs = t
	}
}

// exemplars takes exemplars of a series, if that is taken.
func (r *rows) exemplars(e *model.ExemplarRow, ls labelsOf) error {
	if !r.f.known[string(e.Key)] && r.f.s.sorter.Find(e.Key) == nil || e.T == noTime {
		return nil
	}
	if e.T < model.MinTimeMs || e.T > model.MaxTimeMs || len(e.Row) > maxRowBytes {
		r.refused += int64(e.Count)
		return nil
	}
	if !r.f.r.Contains(e.T) {
		return nil
	}
	key := append([]byte(rowKey+"e"), e.Key...)
	return r.f.s.sorter.Add(key, func() (labels.Labels, error) {
		of, err := ls()
		if err == nil {
			of, err = migrate.Clean(of)
		}
		if err != nil {
			return of, err
		}
		b := labels.NewScratchBuilder(of.Len() + 1)
		model.ExemplarSeries(&b, of)
		b.Sort()
		return b.Labels(), nil
	}, e.T, 0, e.Row)
}

// metadata remembers what is said of a metric; what is said last counts.
func (r *rows) metadata(m *model.MetadataRow) {
	old, ok := r.said[string(m.Metric)]
	if !ok && (len(r.said) >= maxMetrics || !model.ValidMetric(string(m.Metric)) || len(m.Metric) > maxRowBytes || !r.room(len(m.Metric))) {
		return
	}
	if r.room(len(m.Row) - len(old)) {
		r.said[string(m.Metric)] = string(m.Row)
	}
}

// suffixes are what names of series have more than those of their metrics.
var suffixes = []string{"", "_total", "_bucket", "_count", "_sum", "_gcount", "_gsum", "_created", "_info"}

// finish takes what was said of the metrics whose series were taken.
func (r *rows) finish() error {
	if r.refused > 0 {
		err := r.f.s.skips.Add(migrate.Skip{
			Kind: "exemplars", Where: r.f.path, Count: r.refused, Reason: fmt.Sprintf("%d of a time outside the years 1 to 9999, or too large", r.refused),
		})
		if err != nil {
			return err
		}
	}
	if r.lastMs < model.MinTimeMs {
		return nil
	}
	for metric, row := range r.said {
		taken := false
		for _, s := range suffixes {
			taken = taken || r.metrics[metric+s]
		}
		if !taken {
			continue
		}
		ls := func() (labels.Labels, error) { return model.MetadataSeries(metric), nil }
		if err := r.f.s.sorter.Add([]byte(rowKey+"m"+metric), ls, r.lastMs, 0, []byte(row)); err != nil {
			return err
		}
	}
	return nil
}
