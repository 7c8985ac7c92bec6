package live

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/vmline"
	"github.com/varvedb/varve/model"
)

// victoria is the export of VictoriaMetrics: lines of JSON, each some samples of one series.
type victoria struct {
	s *Source
	// selector is what is asked for.
	selector string
}

// NewVictoria returns a VictoriaMetrics at the URL, to whose path /api/v1/export is added if it does not end with it; that of a cluster ends with /select/ACCOUNT/prometheus.
// Credentials may be in it. Close it.
func NewVictoria(url string, skips *migrate.Skips, o *Options, c Components) (*Source, error) {
	s, err := newSource(url, "/api/v1/export", "/api/v1/export", skips, o, c)
	if err != nil {
		return nil, fmt.Errorf("victoria: %w", err)
	}
	p := &victoria{s: s, selector: `{__name__=~".*"}`}
	if ms := s.opts.Matchers; len(ms) > 0 {
		all := make([]string, 0, len(ms))
		for _, m := range ms {
			all = append(all, m.String())
		}
		p.selector = "{" + strings.Join(all, ",") + "}"
	}
	s.protocol = p
	return s, nil
}

// name implements protocol.
func (*victoria) name() string { return "victoria 1" }

// oldest implements protocol.
func (*victoria) oldest(context.Context) (int64, bool) { return 0, false }

// read implements protocol.
func (p *victoria) read(ctx context.Context, r model.TimeRange, out *sink) error {
	u := *p.s.http.url
	q := u.Query()
	q.Set("match[]", p.selector)
	// Times are fractions of a second there; a millisecond more on each side does for what rounding may take, and is cut off here.
	q.Set("start", seconds(r.MinMs-1))
	q.Set("end", seconds(r.MaxMs+1))
	// Not reduce_mem_usage: with it 1.79 leaves out some blocks of samples, without a word, when several requests are under way. Slices are short enough without.
	u.RawQuery = q.Encode()
	req := &request{method: http.MethodGet, url: &u, header: map[string]string{"Accept-Encoding": "gzip"}}
	return p.s.http.do(ctx, req, func(resp *http.Response, body io.Reader) error {
		t, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
		switch strings.TrimSpace(t) {
		case "application/stream+json", "application/json", "application/x-ndjson", "":
		default:
			return wrongType(resp, "lines of JSON")
		}
		switch resp.Header.Get("Content-Encoding") {
		case "":
			if !ends(resp) {
				return errEndless
			}
		case "gzip":
			z, err := gzip.NewReader(body)
			if err != nil {
				return damaged(inside(err))
			}
			body = unpacked{ctx, z}
		default:
			return fmt.Errorf("the answer is compressed as %.50q, which was not asked for: %w", resp.Header.Get("Content-Encoding"), model.ErrInvalid)
		}
		return damaged(p.lines(ctx, body, out))
	})
}

// lines takes an answer. Its last line ends with a newline too; one that does not is cut off.
func (p *victoria) lines(ctx context.Context, in io.Reader, out *sink) error {
	d, c := vmline.NewDecoder(), &model.Columns{}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), vmline.MaxBytes)
	lines.Split(wholeLines)
	for n := int64(1); lines.Scan(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := bytes.TrimSpace(lines.Bytes())
		if len(b) == 0 {
			continue
		}
		ls, err := d.Line(b, c)
		if err != nil {
			if err := out.skip("line", n, 0, err.Error()); err != nil {
				return err
			}
			continue
		}
		if !out.f.want(ls) {
			continue
		}
		if err := out.add(ls, c); err != nil {
			return err
		}
	}
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		return &failure{tooMuch: true, err: fmt.Errorf("a line is longer than %d bytes", vmline.MaxBytes)}
	}
	return err
}

// unpacked is what comes out of a decompressor, whose errors are failures too.
type unpacked struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader.
func (r unpacked) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	if err == nil || errors.Is(err, io.EOF) || r.ctx.Err() != nil {
		return n, err
	}
	if x := (*failure)(nil); errors.As(err, &x) {
		return n, err
	}
	return n, broken("the answer is damaged", err)
}

// wholeLines is a bufio.SplitFunc that takes a last line without a newline for an answer that was cut off.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// seconds is a time as VictoriaMetrics takes it.
func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
