package prom

import (
	"encoding/binary"
	"strings"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/record"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// logRows takes over what the log says beside samples: exemplars, which are in no block, and what is said of metrics, which bears no time and gets that of the last sample of
// the log.
type logRows struct {
	l         *logReader
	exemplars []record.RefExemplar
	metadata  []record.RefMetadata
	// said is what was said last of a metric, and saidBytes what it takes.
	said      map[string][]byte
	saidBytes int
	lastMs    int64
}

const (
	// maxMetrics is of how many metrics a server remembers what is said.
	maxMetrics = 100_000
	// maxSaidBytes bounds that: three times what so many of the usual length take.
	maxSaidBytes = 64 << 20
)

func (r *logRows) takeExemplars(rec []byte) (err error) {
	r.exemplars, err = r.l.decoder.Exemplars(rec, r.exemplars[:0])
	for i := range r.exemplars {
		if err := r.exemplar(&r.exemplars[i]); err != nil {
			return err
		}
	}
	return badRecord(err)
}

func (r *logRows) exemplar(e *record.RefExemplar) error {
	p, ok := r.l.wanted(e.Ref, e.T)
	if !ok {
		return nil
	}
	row := model.AppendExemplar(model.BeginExemplars(nil), e.V, e.Labels.Len())
	e.Labels.Range(func(l labels.Label) { row = model.AppendText(model.AppendText(row, l.Name), l.Value) })
	key := binary.LittleEndian.AppendUint64([]byte{'e'}, uint64(p.offset())) // samples have the number alone
	return r.l.out.Add(key, func() (labels.Labels, error) {
		ls, err := r.l.series.labels(p)
		if err != nil {
			return ls, err
		}
		clean, err := migrate.Clean(ls)
		if err != nil {
			clean = ls // the job refuses it, and names it
		}
		b := labels.NewScratchBuilder(ls.Len() + 1)
		model.ExemplarSeries(&b, clean)
		b.Sort()
		return b.Labels(), nil
	}, e.T, 0, row)
}

func (r *logRows) takeMetadata(rec []byte) (err error) {
	r.metadata, err = r.l.decoder.Metadata(rec, r.metadata[:0])
	for i := range r.metadata {
		if err := r.saying(&r.metadata[i]); err != nil {
			return err
		}
	}
	return badRecord(err)
}

func (r *logRows) saying(m *record.RefMetadata) error {
	p, ok := r.l.series.places[m.Ref]
	if !ok {
		return nil
	}
	ls, err := r.l.series.labels(p)
	if err != nil {
		return err
	}
	typ := record.ToMetricType(m.Type)
	metric := strings.Clone(family(ls.Get(commonmodel.MetricNameLabel), typ)) // else it holds all of the labels
	before, known := r.said[metric]
	if !model.ValidMetric(metric) || !known && len(r.said) >= maxMetrics {
		return nil
	}
	row := model.AppendMetadata(nil, model.MetadataTypeNumber(typ), m.Unit, m.Help)
	bytes := r.saidBytes + len(row) - len(before)
	if !known {
		bytes += len(metric)
	}
	if bytes <= maxSaidBytes {
		r.said[metric], r.saidBytes = row, bytes
	}
	return nil
}

// family is the metric that a series belongs to, of which metadata is said.
func family(name string, typ commonmodel.MetricType) string {
	var suffixes []string
	switch typ {
	case commonmodel.MetricTypeHistogram:
		suffixes = []string{"_bucket", "_count", "_sum"}
	case commonmodel.MetricTypeGaugeHistogram:
		suffixes = []string{"_bucket", "_gcount", "_gsum"}
	case commonmodel.MetricTypeSummary:
		suffixes = []string{"_count", "_sum"}
	}
	for _, s := range suffixes {
		if rest, ok := strings.CutSuffix(name, s); ok && rest != "" {
			return rest
		}
	}
	return name
}

// finish takes what was said of metrics, if there was any sample.
func (r *logRows) finish() error {
	if r.lastMs < model.MinTimeMs {
		return nil
	}
	for metric, row := range r.said {
		ls := func() (labels.Labels, error) { return model.MetadataSeries(metric), nil }
		if err := r.l.out.Add([]byte("metadata "+metric), ls, r.lastMs, 0, row); err != nil {
			return err
		}
	}
	return nil
}
