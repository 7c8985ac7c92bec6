package emulator

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/varvedb/varve/localstack/process"
)

// fakeGCS is fake-gcs-server in memory.
type fakeGCS struct{}

func (fakeGCS) command(ctx context.Context, addr, dir string) (string, process.Options, error) {
	path, err := goTool(ctx, "tools", "fake-gcs-server", "github.com/fsouza/fake-gcs-server")
	return path, process.Options{
		Args: []string{"-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", port(addr), "-public-host", addr, "-log-level", "warn"},
		Dir:  dir,
	}, err
}

func (fakeGCS) env() []string { return nil }

func (fakeGCS) create(ctx context.Context, addr, _, name string) error {
	body := strings.NewReader(fmt.Sprintf(`{"name":%q}`, name))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/storage/v1/b?project=varve", body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return do(req, http.StatusOK)
}

func (fakeGCS) url(addr, name string) string { return "gs://" + name + "?endpoint=http://" + addr }

// do sends the request and wants that status.
func do(req *http.Request, want int) error {
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() // read as far as it matters
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}
