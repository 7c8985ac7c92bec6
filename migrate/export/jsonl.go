package export

import (
	"context"
	"encoding/json"
	"math"
	"strconv"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/migrate"
)

// lineSamples is the most that a line holds: servers bound the length of lines, VictoriaMetrics at 10 MB in older versions.
const lineSamples = 50_000

// jsonLines writes lines as VictoriaMetrics' /api/v1/export gives them and /api/v1/import takes them: a series of a day each, or a part of it. Values that are no numbers
// in JSON have lines of their own: older versions refuse a line that has one.
type jsonLines struct {
	out  *fileOutput
	left map[string]int64
	buf  []byte
	// finite and odd are the samples of the two sorts of lines.
	finite, odd points
}

type points struct {
	t []int64
	v []float64
}

func (p *points) add(x sample) { p.t, p.v = append(p.t, x.t), append(p.v, x.value) }
func (p *points) reset()       { p.t, p.v = p.t[:0], p.v[:0] }

func newJSONLines(j *job) (target, error) {
	out, err := j.file(j.cfg.Out, true)
	if err != nil {
		return nil, err
	}
	return &jsonLines{out: out, left: j.report.Left}, nil
}

func (l *jsonLines) begin(*migrate.Extent) error { return nil }

func (l *jsonLines) add(_ context.Context, s *blocks.BuildSeries) error {
	l.finite.reset()
	l.odd.reset()
	for i := range s.Columns.T {
		x, err := at(s.Columns, i)
		if err != nil {
			return err
		}
		switch {
		case !x.plain(l.left):
		case math.IsNaN(x.value) || math.IsInf(x.value, 0):
			l.odd.add(x)
		default:
			l.finite.add(x)
		}
	}
	for _, p := range [...]*points{&l.finite, &l.odd} {
		for from := 0; from < len(p.t); from += lineSamples {
			to := min(from+lineSamples, len(p.t))
			if err := l.line(s, p.t[from:to], p.v[from:to]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *jsonLines) line(s *blocks.BuildSeries, t []int64, v []float64) error {
	metric, err := json.Marshal(s.Labels)
	if err != nil {
		return err
	}
	b := append(l.buf[:0], `{"metric":`...)
	b = append(append(b, metric...), `,"values":[`...)
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONValue(b, x)
	}
	b = append(b, `],"timestamps":[`...)
	for i, at := range t {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, at, 10)
	}
	l.buf = append(b, "]}\n"...)
	_, err = l.out.w.Write(l.buf)
	return err
}

// appendJSONValue appends a value as VictoriaMetrics reads it: what JSON does not know is text. Its null is a stale marker.
func appendJSONValue(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

func (l *jsonLines) end(context.Context) error { return nil }

func (l *jsonLines) finish(context.Context) (int, int64, error) {
	n, err := l.out.finish()
	return 1, n, err
}

func (l *jsonLines) abort() error { return l.out.abort() }
