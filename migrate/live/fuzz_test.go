package live

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// fuzzSink takes whatever comes.
func fuzzSink(t *testing.T) *sink {
	s := spill.New(t.TempDir(), 1<<20, spill.LastWins)
	t.Cleanup(func() { _ = s.Close() })
	src := &Source{skips: migrate.NewSkips(false), http: &client{stall: time.Minute}}
	f := &fetch{s: src, want: migrateAll, told: func(int64, int64) {}, out: s}
	return &sink{f: f, to: s, r: model.TimeRange{MinMs: 0, MaxMs: model.MsPerDay - 1}}
}

// frameOf is data as a frame.
func frameOf(data []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(data)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(data, castagnoli))
	return append(b, data...)
}

func chunkSeed(f *testing.F) []byte {
	c := chunkenc.NewXORChunk()
	app, err := c.Appender()
	require.NoError(f, err)
	app.Append(0, 1000, 1)
	app.Append(0, 2000, 2)
	h := chunkenc.NewHistogramChunk()
	ha, err := h.Appender()
	require.NoError(f, err)
	_, _, _, err = ha.AppendHistogram(nil, 0, 3000, tsdbutil.GenerateTestHistogram(1), false)
	require.NoError(f, err)
	r := prompb.ChunkedReadResponse{ChunkedSeries: []*prompb.ChunkedSeries{{
		Labels: []prompb.Label{{Name: "__name__", Value: "up"}},
		Chunks: []prompb.Chunk{{Type: prompb.Chunk_XOR, Data: c.Bytes()}, {Type: prompb.Chunk_HISTOGRAM, Data: h.Bytes()}},
	}}}
	b, err := r.Marshal()
	require.NoError(f, err)
	return b
}

// FuzzChunks decodes the data of a frame.
func FuzzChunks(f *testing.F) {
	f.Add(chunkSeed(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = newAnswer(fuzzSink(t)).chunks(bytes.NewReader(frameOf(b)))
	})
}

// FuzzFrames reads a stream of frames: what it returns is what was framed, and nothing else.
func FuzzFrames(f *testing.F) {
	f.Add(append(frameOf(chunkSeed(f)), frameOf(nil)...))
	f.Add([]byte{0xff, 0xff, 0xff, 0x07, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := newFrames(bytes.NewReader(b))
		at := 0
		for {
			data, err := in.next()
			if err != nil {
				return
			}
			require.LessOrEqual(t, cap(in.data), len(b)+2<<20, "memory as the bytes come")
			_, n := binary.Uvarint(b[at:])
			at += n + 4
			require.Equal(t, b[at:at+len(data)], append([]byte{}, data...))
			at += len(data)
		}
	})
}

// FuzzSamples decodes an answer in samples, compressed as it comes.
func FuzzSamples(f *testing.F) {
	r := prompb.ReadResponse{Results: []*prompb.QueryResult{{Timeseries: []*prompb.TimeSeries{{
		Labels:     []prompb.Label{{Name: "__name__", Value: "up"}},
		Samples:    []prompb.Sample{{Timestamp: 1, Value: 2}},
		Histograms: []prompb.Histogram{prompb.FromIntHistogram(5, tsdbutil.GenerateTestHistogram(1)), prompb.FromFloatHistogram(6, tsdbutil.GenerateTestFloatHistogram(1))},
	}}}}}
	b, err := r.Marshal()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := wholeBody(bytes.NewReader(snappy.Encode(nil, b)))
		if err == nil {
			require.Equal(t, len(b), len(got))
			_ = newAnswer(fuzzSink(t)).samples(got)
		}
		_, _ = wholeBody(bytes.NewReader(b))
	})
}

// FuzzLabels checks that labels are what the messages of Prometheus make of the same bytes.
func FuzzLabels(f *testing.F) {
	f.Add(chunkSeed(f)[2:])
	f.Fuzz(func(t *testing.T, b []byte) {
		var p prompb.ChunkedSeries
		if p.Unmarshal(b) != nil {
			return
		}
		got, err := newAnswer(fuzzSink(t)).labels(b)
		if err != nil {
			return // fields that Prometheus passes over
		}
		want := labels.NewScratchBuilder(0)
		for _, l := range p.Labels {
			if l.Value != "" {
				want.Add(l.Name, l.Value)
			}
		}
		want.Sort()
		require.Equal(t, want.Labels().String(), got.String())
	})
}
