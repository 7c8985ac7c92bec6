package acceptance

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/query"
)

// pathVariable tells the child process which path to run the suite over.
const pathVariable = "VARVE_ACCEPTANCE_PATH"

// cases is how many the suite of the Prometheus version in go.mod has.
const cases = 2434

// TestPromQL runs Prometheus' acceptance suite over each path: every case passes. The suite runs in a process of its own, whose report is the only way to learn of single cases.
func TestPromQL(t *testing.T) {
	for _, p := range []path{memtablePath, flushedPath, coldPath, parquetPath, lambdaPath, httpPath} {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			report, err := runChild(p)
			results := parse(report)
			if len(results) != cases {
				t.Fatalf("%d of %d cases ran (%v):\n%s", len(results), cases, err, tail(report))
			}
			for _, name := range slices.Sorted(maps.Keys(results)) {
				if !results[name].passed {
					t.Errorf("%s fails:\n%s", name, results[name].output)
				}
			}
		})
	}
}

// TestSuite is what the child process runs.
func TestSuite(t *testing.T) {
	p := path(os.Getenv(pathVariable))
	if p == "" {
		t.Skip("run by TestPromQL")
	}
	language := query.NewParser()
	var engine promql.QueryEngine = query.NewEngine(&query.EngineOptions{MaxSamples: promqltest.DefaultMaxSamplesPerQuery, StartTimestamps: true, Timeout: 100 * time.Second}, language, nil, nil)
	if p == httpPath {
		engine = newOverHTTP(engine, language)
	}
	promqltest.RunBuiltinTestsWithStorage(t, engine, func(t testing.TB) storage.Storage {
		s, err := newStore(t, p)
		require.NoError(t, err)
		return s
	})
}

func runChild(p path) ([]byte, error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestSuite$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), pathVariable+"="+string(p))
	return cmd.CombinedOutput()
}

// result is the outcome of one case.
type result struct {
	passed bool
	output string
}

var (
	running = regexp.MustCompile(`^=== (?:RUN|NAME|CONT)\s+TestSuite/testdata/(\S+\.test)/line_(\d+)/`)
	outcome = regexp.MustCompile(`^\s*--- (PASS|FAIL): TestSuite/testdata/(\S+\.test)/line_(\d+)/`)
)

// parse reads the report of go test -v. Cases are named file:line.
func parse(report []byte) map[string]result {
	results := map[string]result{}
	output := map[string]*strings.Builder{}
	var current *strings.Builder
	for line := range strings.Lines(string(report)) {
		if m := running.FindStringSubmatch(line); m != nil {
			name := m[1] + ":" + m[2]
			if output[name] == nil {
				output[name] = &strings.Builder{}
			}
			current = output[name]
			continue
		}
		if m := outcome.FindStringSubmatch(line); m != nil {
			results[m[2]+":"+m[3]] = result{passed: m[1] == "PASS"}
			continue
		}
		if current != nil {
			current.WriteString(line)
		}
	}
	for name, r := range results {
		if b := output[name]; b != nil {
			r.output = b.String()
			results[name] = r
		}
	}
	return results
}

func tail(report []byte) string {
	const most = 4000
	if len(report) > most {
		return fmt.Sprintf("… %s", bytes.ToValidUTF8(report[len(report)-most:], nil))
	}
	return string(report)
}
