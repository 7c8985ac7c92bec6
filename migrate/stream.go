package migrate

import (
	"iter"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// stream hands out the series of a day, part after part. For one goroutine.
type stream struct {
	next func() (blocks.BuildSeries, error, bool)
	stop func()
	pass func(samples int64)
	// head is the next series if ok; its columns are used again for the one after it.
	head blocks.BuildSeries
	ok   bool
	err  error
	// rows are those of the part that was read last.
	rows rows
}

// newStream begins the stream; pass is told of the samples of each series as it comes.
func newStream(in iter.Seq2[blocks.BuildSeries, error], pass func(int64)) *stream {
	s := &stream{pass: pass}
	s.next, s.stop = iter.Pull2(in)
	s.advance()
	return s
}

func (s *stream) advance() {
	s.head, s.err, s.ok = s.next()
	if s.err != nil {
		s.ok = false
	}
	if s.ok {
		s.pass(int64(s.head.Columns.Len()))
	}
}

// limits are where a part ends, see Config.PartSamples. It is decided by the series alone: whoever reads the day again finds the same parts.
type limits struct{ samples, series, labelBytes int64 }

// usualLabelBytes is what a series may have in labels that nobody counts: PartSeries bounds these.
const usualLabelBytes = 128

// longLabels is how many bytes of labels a series has beyond the usual.
func longLabels(ls labels.Labels) int64 {
	bytes := int64(0)
	ls.Range(func(l labels.Label) { bytes += int64(len(l.Name) + len(l.Value)) })
	return max(0, bytes-usualLabelBytes)
}

// part are the series of the next part, after which the stream stands at the part behind it.
func (s *stream) part(l limits) iter.Seq2[blocks.BuildSeries, error] {
	return func(yield func(blocks.BuildSeries, error) bool) {
		var samples, series, labelBytes int64
		s.rows = rows{}
		for s.ok {
			metric := s.head.Labels.Get("__name__")
			samples += int64(s.head.Columns.Len())
			series++
			labelBytes += longLabels(s.head.Labels)
			if model.Reserved(s.head.Labels) {
				r, _ := judgeRows(s.head.Labels, s.head.Columns) // it was judged before
				s.rows.add(r)
			}
			if !yield(s.head, nil) {
				return
			}
			if s.advance(); !s.ok {
				break
			}
			full := samples >= 2*l.samples || series >= l.series || labelBytes >= l.labelBytes
			if full || samples >= l.samples && s.head.Labels.Get("__name__") != metric {
				return
			}
		}
		if s.err != nil {
			yield(blocks.BuildSeries{}, s.err)
		}
	}
}

// drain passes over a part.
func (s *stream) drain(l limits) error { return s.count(l, &blocks.Meta{}) }

// count passes over a part and counts it.
func (s *stream) count(l limits, m *blocks.Meta) error {
	for b, err := range s.part(l) {
		if err != nil {
			return err
		}
		t := b.Columns.T
		if m.Samples == 0 {
			m.MinT, m.MaxT = t[0], t[len(t)-1]
		}
		m.MinT, m.MaxT = min(m.MinT, t[0]), max(m.MaxT, t[len(t)-1])
		m.Series++
		m.Samples += int64(len(t))
		for _, h := range b.Columns.H {
			if h != nil {
				m.Histograms++
			}
		}
	}
	return nil
}
