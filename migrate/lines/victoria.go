package lines

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/migrate"
)

// NewVictoria reads files as VictoriaMetrics' /api/v1/export writes them: lines of JSON, of one series each.
func NewVictoria(paths []string, skips *migrate.Skips, o *FileOptions) *Files {
	return newFiles(victoriaFormat{}, paths, skips, o)
}

type victoriaFormat struct{}

func (victoriaFormat) name() string { return "victoria 1" }

// maxVictoriaLine bounds a line, which has all that is exported of a series: half a million samples or more.
const maxVictoriaLine = 32 << 20

// victoriaLine is one line. A value that is null is not a number; "Infinity" and the like are strings.
type victoriaLine struct {
	Metric     map[string]string `json:"metric"`
	Values     []victoriaValue   `json:"values"`
	Timestamps []int64           `json:"timestamps"`
}

type victoriaValue float64

// UnmarshalJSON implements json.Unmarshaler.
func (v *victoriaValue) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "null", `"NaN"`:
		*v = victoriaValue(math.NaN())
	case `"Infinity"`, `"+Infinity"`, `"Inf"`, `"+Inf"`:
		*v = victoriaValue(math.Inf(1))
	case `"-Infinity"`, `"-Inf"`:
		*v = victoriaValue(math.Inf(-1))
	default:
		return json.Unmarshal(b, (*float64)(v))
	}
	return nil
}

func (victoriaFormat) read(ctx context.Context, f *file) error {
	in := bufio.NewScanner(f.in)
	in.Buffer(make([]byte, 0, 64<<10), maxVictoriaLine)
	for n := int64(1); in.Scan(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := bytes.TrimSpace(in.Bytes())
		if len(b) == 0 {
			continue
		}
		if err := victoriaSeries(f, n, b); err != nil {
			return err
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return f.skip(0, 0, fmt.Sprintf("a line is longer than %d bytes; it and what is behind it is left out", maxVictoriaLine))
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// victoriaSeries takes one line.
func victoriaSeries(f *file, n int64, b []byte) error {
	var line victoriaLine
	if err := json.Unmarshal(b, &line); err != nil {
		return f.skip(n, 0, err.Error())
	}
	if len(line.Values) != len(line.Timestamps) {
		return f.skip(n, 0, fmt.Sprintf("it has %d values and %d timestamps", len(line.Values), len(line.Timestamps)))
	}
	ls := labels.FromMap(line.Metric)
	key := ls.Bytes(nil)
	for i, t := range line.Timestamps {
		err := f.add(n, key, func() (labels.Labels, error) { return ls, nil }, t, float64(line.Values[i]))
		if err != nil {
			return err
		}
	}
	return nil
}
