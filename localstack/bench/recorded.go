package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/klauspost/compress/zstd"
)

// recordedSeries is one line of a file of recorded samples: JSON, the values as decimal text, so that NaN,
// infinities and every digit survive. The file is compressed with zstd.
type recordedSeries struct {
	Metric     map[string]string `json:"metric"`
	Timestamps []int64           `json:"timestamps"`
	Values     []string          `json:"values"`
}

// windowMs is how much of each series a request of recorded samples carries: what a sender collects in a few seconds.
const windowMs = 5000

// recordedLoad replays a file with one sender, in order of time.
func recordedLoad(path string, batch int) (*load, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read recorded samples: %w", err)
	}
	defer f.Close()
	all, err := readRecorded(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	l := &load{name: "recorded, " + filepath.Base(path), series: int64(len(all))}
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	for _, s := range all {
		if l.metric == "" && s.name != "up" {
			l.metric = s.name
		}
		if len(s.samples) > 0 {
			from, to = min(from, s.samples[0].t), max(to, s.samples[len(s.samples)-1].t)
		}
	}
	l.from, l.to = from, to
	e := &encoder{batch: batch}
	for ; from <= to; from += windowMs {
		for _, s := range all {
			if n := s.before(from + windowMs); n > 0 {
				e.series(s.labels, s.samples[:n]...)
				s.samples = s.samples[n:]
			}
		}
	}
	e.cut()
	l.add(e.requests)
	return l, nil
}

type recording struct {
	name    string
	labels  []byte
	samples []sample
}

// before counts the samples before a time.
func (r *recording) before(t int64) int {
	n, _ := slices.BinarySearchFunc(r.samples, t, func(s sample, t int64) int { return int(min(1, max(-1, s.t-t))) })
	return n
}

func readRecorded(r io.Reader) ([]*recording, error) {
	z, err := zstd.NewReader(r)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	dec := json.NewDecoder(bufio.NewReader(z))
	var out []*recording
	for {
		var line recordedSeries
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("series %d: %w", len(out), err)
		}
		rec, err := line.parse()
		if err != nil {
			return nil, fmt.Errorf("series %d: %w", len(out), err)
		}
		out = append(out, rec)
	}
}

func (s *recordedSeries) parse() (*recording, error) {
	if len(s.Timestamps) != len(s.Values) {
		return nil, fmt.Errorf("%d timestamps and %d values", len(s.Timestamps), len(s.Values))
	}
	var pairs, names []string
	for name := range s.Metric {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		pairs = append(pairs, name, s.Metric[name])
	}
	rec := &recording{name: s.Metric["__name__"], labels: encodeLabels(pairs...), samples: make([]sample, len(s.Values))}
	for i, text := range s.Values {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", i, err)
		}
		rec.samples[i] = sample{s.Timestamps[i], v}
	}
	return rec, nil
}
