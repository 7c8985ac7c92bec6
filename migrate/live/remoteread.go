package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/promchunk"
	"github.com/varvedb/varve/model"
)

// remoteRead is Prometheus' remote read, see prompb/remote.proto there. Chunks that are streamed are asked for; a server that only knows samples sends those.
type remoteRead struct {
	s        *Source
	matchers []*prompb.LabelMatcher
	// whole is held by the one answer in samples that is in memory: such answers come in one piece.
	whole sync.Mutex
}

// NewRemoteRead returns a server that speaks remote read, at the URL, to whose path /api/v1/read is added if it does not end with /read. Credentials may be in it. Close it.
func NewRemoteRead(url string, skips *migrate.Skips, o *Options, c Components) (*Source, error) {
	s, err := newSource(url, "/api/v1/read", "/read", skips, o, c)
	if err != nil {
		return nil, fmt.Errorf("remote read: %w", err)
	}
	p := &remoteRead{s: s}
	if p.matchers, err = remoteMatchers(s.opts.Matchers); err != nil {
		return nil, fmt.Errorf("remote read: %w", err)
	}
	s.protocol = p
	return s, nil
}

// remoteMatchers are matchers as the protocol has them. None means every series, those without a metric name included.
func remoteMatchers(ms []*labels.Matcher) ([]*prompb.LabelMatcher, error) {
	types := map[labels.MatchType]prompb.LabelMatcher_Type{
		labels.MatchEqual: prompb.LabelMatcher_EQ, labels.MatchNotEqual: prompb.LabelMatcher_NEQ, labels.MatchRegexp: prompb.LabelMatcher_RE, labels.MatchNotRegexp: prompb.LabelMatcher_NRE,
	}
	out := make([]*prompb.LabelMatcher, 0, len(ms))
	for _, m := range ms {
		t, ok := types[m.Type]
		if !ok {
			return nil, fmt.Errorf("matcher %s has no type that servers know: %w", m, model.ErrInvalid)
		}
		out = append(out, &prompb.LabelMatcher{Type: t, Name: m.Name, Value: m.Value})
	}
	if len(out) == 0 {
		out = append(out, &prompb.LabelMatcher{Type: prompb.LabelMatcher_RE, Name: index.MetricName, Value: ".*"})
	}
	return out, nil
}

// name implements protocol.
func (*remoteRead) name() string { return "remote read 1" }

// oldest implements protocol.
func (p *remoteRead) oldest(ctx context.Context) (int64, bool) { return oldestOfMetrics(ctx, p.s.http) }

// read implements protocol.
func (p *remoteRead) read(ctx context.Context, r model.TimeRange, out *sink) error {
	q := &prompb.ReadRequest{
		Queries: []*prompb.Query{{
			StartTimestampMs: r.MinMs, EndTimestampMs: r.MaxMs, Matchers: p.matchers,
			Hints: &prompb.ReadHints{StartMs: r.MinMs, EndMs: r.MaxMs},
		}},
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES},
	}
	b, err := q.Marshal()
	if err != nil {
		return err
	}
	req := &request{method: http.MethodPost, url: p.s.http.url, body: snappy.Encode(nil, b), header: map[string]string{
		"Content-Encoding": "snappy", "Accept-Encoding": "snappy", "Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Read-Version": "0.1.0",
	}}
	return p.s.http.do(ctx, req, func(resp *http.Response, body io.Reader) error {
		t, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
		switch strings.TrimSpace(t) {
		case "application/x-streamed-protobuf":
			if !ends(resp) {
				return errEndless
			}
			return newAnswer(out).chunks(body)
		case "application/x-protobuf":
			p.whole.Lock()
			defer p.whole.Unlock()
			b, err := wholeBody(body)
			if err != nil {
				return err
			}
			return newAnswer(out).samples(b)
		}
		return wrongType(resp, "one of remote read")
	})
}

// What an answer in samples may have: before it is decompressed, and after.
const (
	maxPackedBytes = 48 << 20
	maxWholeBytes  = 96 << 20
)

// wholeBody reads and decompresses an answer in samples.
func wholeBody(in io.Reader) ([]byte, error) {
	packed, err := io.ReadAll(io.LimitReader(in, maxPackedBytes+1))
	if err != nil {
		return nil, err
	}
	if len(packed) > maxPackedBytes {
		return nil, &failure{tooMuch: true, err: fmt.Errorf("the answer has more than %d bytes", maxPackedBytes)}
	}
	n, err := snappy.DecodedLen(packed)
	// Snappy makes 64 bytes of three at most: who says more does not tell the truth, and gets no memory.
	if err == nil && n > 32*len(packed)+64 {
		err = snappy.ErrCorrupt
	}
	if err == nil && n > maxWholeBytes {
		return nil, &failure{tooMuch: true, err: fmt.Errorf("the answer has %d bytes, at most %d", n, maxWholeBytes)}
	}
	var b []byte
	if err == nil {
		b, err = snappy.Decode(nil, packed)
	}
	if err != nil {
		return nil, broken("the answer is not compressed as it should be, or is cut off", err)
	}
	return b, nil
}

// answer decodes what a server sends. For one goroutine.
type answer struct {
	out     *sink
	decode  promchunk.Decoder
	columns model.Columns
	b       labels.ScratchBuilder
}

func newAnswer(out *sink) *answer { return &answer{out: out, b: labels.NewScratchBuilder(16)} }

// chunks takes a stream of chunks.
func (a *answer) chunks(in io.Reader) error {
	f := newFrames(in)
	for {
		b, err := f.next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err == nil {
			err = a.frame(b)
		}
		if err != nil {
			return damaged(err)
		}
	}
}

// damaged makes a failure of an error that says that an answer is not what the server meant to send.
func damaged(err error) error {
	if x := (*failure)(nil); errors.As(err, &x) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errFrame) || errors.Is(err, errMessage) {
		return broken("the answer breaks off or is damaged", err)
	}
	return err
}

// frame takes a ChunkedReadResponse.
func (a *answer) frame(b []byte) error {
	f := fields{b: b}
	for f.next() {
		if f.number == 1 {
			if err := a.chunkedSeries(f.data); err != nil {
				return err
			}
		}
	}
	return f.err
}

// chunkedSeries takes a ChunkedSeries. A chunk that does not decode is left out: its bytes are as the server has them, for the frame has its checksum.
func (a *answer) chunkedSeries(b []byte) error {
	ls, err := a.labels(b)
	if err != nil || !a.out.f.want(ls) {
		return err
	}
	f := fields{b: b}
	for f.next() {
		if f.number != 2 {
			continue
		}
		var encoding uint64
		var data []byte
		chunk := fields{b: f.data}
		for chunk.next() {
			switch chunk.number {
			case 3:
				encoding = chunk.value
			case 4:
				data = chunk.data
			}
		}
		if chunk.err != nil {
			return chunk.err
		}
		a.columns.Reset()
		if err := a.decode.Foreign(&a.columns, uint8(min(encoding, 255)), data, a.out.r); err != nil {
			if err := a.out.skip("chunk", 0, 0, fmt.Sprintf("series %.300q: %v", ls.String(), err)); err != nil {
				return err
			}
			continue
		}
		if err := a.out.add(ls, &a.columns); err != nil {
			return err
		}
	}
	return f.err
}

// labels are those in field 1 of a series, sorted.
func (a *answer) labels(b []byte) (labels.Labels, error) {
	a.b.Reset()
	f := fields{b: b}
	for f.next() {
		if f.number != 1 {
			continue
		}
		var name, value string
		l := fields{b: f.data}
		for l.next() {
			switch l.number {
			case 1:
				name = string(l.data)
			case 2:
				value = string(l.data)
			}
		}
		if l.err != nil {
			return labels.EmptyLabels(), l.err
		}
		if value != "" { // a label without a value is none
			a.b.Add(name, value)
		}
	}
	a.b.Sort()
	return a.b.Labels(), f.err
}
