package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the expected outputs of scripts")

// TestScripts runs testdata/*.txt. A line that begins with "$ " is a command, what follows is what it must print: standard output, then
// standard error with "! " before each line, then "[exit N]" unless it is 0. Paths, ids, addresses and the present are replaced by names. Commands:
//
//	varve ARG…             the command line
//	serve ARG…             varve serve in the background, on a free port, until stop
//	stop                   SIGTERM to it, and what it printed to standard error when it failed
//	write TENANT SERIES VALUE TIME      one sample by remote write (TIME in seconds)
//	curl METHOD PATH [HEADER:VALUE]     status and body
//	file NAME LINE|LINE…   makes a file
//	env NAME=VALUE         for all later commands
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			s := &script{t: t, dir: t.TempDir()}
			got := s.run(string(want))
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("the output is another (rewrite it with -update if it is right):\n%s", diff)
			}
		})
	}
}

type script struct {
	t    *testing.T
	dir  string
	env  []string
	addr string
	stop func() (code int, stderr string)
}

func (s *script) run(text string) string {
	defer func() {
		if s.stop != nil {
			s.stop()
		}
	}()
	var out strings.Builder
	skip := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			fmt.Fprintln(&out, line)
			output := s.clean(s.command(command))
			out.WriteString(output)
			skip = true
			continue
		}
		// A comment or an empty line ends an output.
		if line == "" || strings.HasPrefix(line, "# ") {
			skip = false
		}
		if !skip {
			fmt.Fprintln(&out, line)
		}
	}
	return out.String()
}

func (s *script) command(line string) string {
	line = strings.NewReplacer("$DIR", s.dir, "$ADDR", s.addr).Replace(line)
	args := split(line)
	switch args[0] {
	case "varve":
		var stdout, stderr bytes.Buffer
		code := run(s.t.Context(), args[1:], &environment{out: &stdout, err: &stderr, env: s.env})
		return transcript(stdout.String(), stderr.String(), code)
	case "serve":
		return s.serve(args[1:])
	case "stop":
		code, stderr := s.stop()
		s.stop = nil
		if code == exitOK {
			stderr = ""
		}
		return transcript("", stderr, code)
	case "write":
		return s.write(args[1], args[2], args[3], args[4])
	case "curl":
		return s.curl(args[1:])
	case "file":
		name, lines, _ := strings.Cut(strings.TrimPrefix(line, "file "), " ")
		require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(strings.ReplaceAll(lines, "|", "\n")), 0o600))
		return ""
	case "env":
		s.env = append(s.env, strings.Join(args[1:], " "))
		return ""
	}
	s.t.Fatalf("unknown command %q", line)
	return ""
}

// split splits at blanks outside single quotes.
func split(line string) (args []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	return args
}

func transcript(stdout, stderr string, code int) string {
	var b strings.Builder
	b.WriteString(stdout)
	if stdout != "" && !strings.HasSuffix(stdout, "\n") {
		b.WriteString("\n")
	}
	for l := range strings.Lines(stderr) {
		b.WriteString("! " + strings.TrimSuffix(l, "\n") + "\n")
	}
	if code != 0 {
		fmt.Fprintf(&b, "[exit %d]\n", code)
	}
	// Empty lines would end the output in the script.
	return strings.ReplaceAll(strings.ReplaceAll(b.String(), "\n\n", "\n.\n"), "\n\n", "\n.\n")
}

// serve starts the server and waits until it has greeted.
func (s *script) serve(args []string) string {
	ctx, cancel := context.WithCancel(s.t.Context())
	stdout, stderr := &syncBuffer{grown: make(chan struct{}, 1)}, &syncBuffer{}
	exited := make(chan int, 1)
	go func() {
		exited <- run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), &environment{out: stdout, err: stderr, env: s.env})
	}()
	s.stop = func() (int, string) {
		cancel()
		return <-exited, stderr.String()
	}
	for {
		select {
		case code := <-exited:
			cancel()
			s.stop = nil
			return transcript(stdout.String(), stderr.String(), code)
		case <-stdout.grown:
			if m := listening.FindStringSubmatch(stdout.String()); m != nil {
				s.addr = m[1]
				return ""
			}
		}
	}
}

var listening = regexp.MustCompile(`listens on http://(\S+)`)

func (s *script) write(tenant, series, value, at string) string {
	p := parser.NewParser(parser.Options{})
	ls, err := p.ParseMetric(series)
	require.NoError(s.t, err)
	v, err := strconv.ParseFloat(value, 64)
	require.NoError(s.t, err)
	seconds, err := strconv.ParseInt(at, 10, 64)
	require.NoError(s.t, err)
	msg, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels: prompb.FromLabels(ls, nil), Samples: []prompb.Sample{{Value: v, Timestamp: seconds * 1000}},
	}}}).Marshal()
	require.NoError(s.t, err)
	return s.request(http.MethodPost, "/api/v1/write", snappy.Encode(nil, msg), "X-Scope-OrgID:"+tenant)
}

func (s *script) curl(args []string) string { return s.request(args[0], args[1], nil, args[2:]...) }

func (s *script) request(method, path string, body []byte, headers ...string) string {
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr+path, bytes.NewReader(body))
	require.NoError(s.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return transcript(fmt.Sprintf("%d %s", resp.StatusCode, answer), "", 0)
}

// cleaners replace what changes from run to run. The names are as long as what they stand for where tables align.
var cleaners = []struct {
	what *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDR"},
	{regexp.MustCompile(`\b[0-9a-f]{20}\b`), "WRITER"},
	{regexp.MustCompile(`\b[0-9a-v]{26}\b`), "BLOCK"},
	{regexp.MustCompile(`\b\d+(\.\d+)? (B|KiB)\b`), "SIZE"},
	{regexp.MustCompile(`"(bytes|block_bytes|catalog_bytes|started_ms)": \d+`), `"$1": N`},
	// On a slow machine other seconds come up, and as there is a line of progress for each, more lines than the first.
	{regexp.MustCompile(`"elapsed_s":\d+`), `"elapsed_s":N`},
	{regexp.MustCompile(`(\{"elapsed_s":N.*\n)(\{"elapsed_s":N.*\n)+`), "$1"},
	{regexp.MustCompile(`(SIZE +)\d+\.\d\d\b`), "${1}RATIO"},
	{regexp.MustCompile(`\bgo1\.[0-9.]+`), "GO"},
	{regexp.MustCompile(`linux/\w+|darwin/\w+`), "PLATFORM"},
}

var instant = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)

func (s *script) clean(text string) string {
	text = strings.ReplaceAll(text, s.dir, "$DIR")
	for _, c := range cleaners {
		text = c.what.ReplaceAllString(text, c.name)
	}
	text = instant.ReplaceAllStringFunc(text, func(at string) string {
		if t, err := time.Parse(time.RFC3339, at); err == nil && time.Since(t).Abs() < time.Hour {
			return "NOW"
		}
		return at // of the script
	})
	// Columns are as wide as what was replaced.
	return regexp.MustCompile(`(?m) {2,}`).ReplaceAllString(text, "  ")
}

// syncBuffer is a buffer that one goroutine writes and another reads.
type syncBuffer struct {
	mu    sync.Mutex // guards b
	b     bytes.Buffer
	grown chan struct{}
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grown != nil {
		defer func() {
			select {
			case b.grown <- struct{}{}:
			default:
			}
		}()
	}
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
