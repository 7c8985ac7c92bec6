package lines

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/text"
)

// CSVOptions say how rows of CSV are read.
type CSVOptions struct {
	// Columns say what becomes of which column: see ParseCSVColumns. There is a column of time and one of a metric at least.
	Columns []CSVColumn
	// Delimiter stands between columns; 0 is a comma.
	Delimiter byte
	// Header: the first row of each file names the columns. It does if a column is chosen by its name.
	Header bool
	// Labels are those of all series, names and values in turn. A column of that label wins where it has a value.
	Labels []string
}

// CSVColumn is what becomes of a column.
type CSVColumn struct {
	// Number is that of the column, from 1; 0 if it is chosen by Header, the name in the first row.
	Number int
	Header string
	// Kind is "metric", "label" or "time", Name the name of the metric or label.
	Kind, Name string
	// read reads a time, in ms.
	read func(string) (int64, error)
}

// ParseCSVColumns reads the syntax of VictoriaMetrics' CSV import, where columns have a number from 1 or the name that the header gives them:
//
//	1:time:unix_s,2:label:host,temperature:metric:temp,5:metric:load
//
// A time is unix_s (with a fraction, if it has one), unix_ms, unix_us, unix_ns, rfc3339 or custom:LAYOUT, a layout of Go's package time; a time without a zone is UTC. A label __name__ names the metric in place
// of the name of its column.
func ParseCSVColumns(s string) ([]CSVColumn, error) {
	var out []CSVColumn
	count := map[string]int{}
	for _, part := range strings.Split(s, ",") {
		words := strings.SplitN(strings.TrimSpace(part), ":", 3)
		if len(words) != 3 || words[0] == "" || words[2] == "" {
			return nil, fmt.Errorf("column %.80q: want COLUMN:metric:NAME, COLUMN:label:NAME or COLUMN:time:FORMAT: %w", part, model.ErrInvalid)
		}
		c := CSVColumn{Header: words[0], Kind: words[1], Name: words[2]}
		if n, err := strconv.Atoi(words[0]); err == nil {
			if n < 1 || n > maxCSVColumns {
				return nil, fmt.Errorf("column %.80q: numbers are 1 to %d: %w", part, maxCSVColumns, model.ErrInvalid)
			}
			c.Number, c.Header = n, ""
		}
		var err error
		switch c.Kind {
		case "metric", "label":
			if !model.ValidMetric(c.Name) {
				err = fmt.Errorf("%.80q is no name", c.Name)
			}
		case "time":
			c.read, err = timeReader(c.Name)
		default:
			err = fmt.Errorf("%.80q is none of metric, label and time", c.Kind)
		}
		if err != nil {
			return nil, fmt.Errorf("column %.80q: %w: %w", part, err, model.ErrInvalid)
		}
		count[c.Kind]++
		out = append(out, c)
	}
	if count["time"] != 1 || count["metric"] == 0 {
		return nil, fmt.Errorf("there are %d columns of time, want 1, and %d metrics, want 1 at least: %w", count["time"], count["metric"], model.ErrInvalid)
	}
	return out, nil
}

// maxCSVColumns bounds the number of a column.
const maxCSVColumns = 1 << 16

// timeReader returns what reads times of a format.
func timeReader(format string) (func(string) (int64, error), error) {
	layout, custom := strings.CutPrefix(format, "custom:")
	switch {
	case custom && layout == "":
		return nil, fmt.Errorf("custom: needs a layout")
	case custom:
	case format == "rfc3339":
		layout = time.RFC3339
	case format == "unix_s":
		return unixSeconds, nil
	case format == "unix_ms":
		return unixInteger(1), nil
	case format == "unix_us":
		return unixInteger(1000), nil
	case format == "unix_ns":
		return unixInteger(1_000_000), nil
	default:
		return nil, fmt.Errorf("%.80q is none of unix_s, unix_ms, unix_us, unix_ns, rfc3339 and custom:LAYOUT", format)
	}
	return func(s string) (int64, error) {
		t, err := time.Parse(layout, s)
		return t.UnixMilli(), err
	}, nil
}

func unixSeconds(s string) (int64, error) {
	ms, ok := text.ParseSeconds(s)
	switch {
	case !ok:
		return 0, fmt.Errorf("%.40q is no number of seconds", s)
	case ms == math.MaxInt64 || ms == -math.MaxInt64:
		return 0, fmt.Errorf("%.40s s are beyond all years", s)
	}
	return ms, nil
}

// unixInteger reads times of which per make a millisecond.
func unixInteger(per int64) func(string) (int64, error) {
	return func(s string) (int64, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		ms := n / per
		if n%per < 0 {
			ms--
		}
		return ms, err
	}
}
