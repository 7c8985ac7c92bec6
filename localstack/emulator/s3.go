package emulator

import (
	"context"
	"net"
	"os"
	"path/filepath"

	"github.com/varvedb/varve/localstack/process"
)

// versity is versitygw over a directory, where a bucket is a folder.
type versity struct{}

const (
	s3Key    = "varve-test"
	s3Secret = "varve-test-secret"
)

func (versity) command(ctx context.Context, addr, dir string) (string, process.Options, error) {
	path, err := goTool(ctx, "tools", "versitygw", "github.com/versity/versitygw/cmd/versitygw")
	if err != nil {
		return "", process.Options{}, err
	}
	data := filepath.Join(dir, "buckets")
	return path, process.Options{
		Args: []string{"--quiet", "--port", addr, "posix", data},
		Env:  []string{"ROOT_ACCESS_KEY=" + s3Key, "ROOT_SECRET_KEY=" + s3Secret},
		Dir:  dir,
	}, os.MkdirAll(data, 0o755)
}

func (versity) env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + s3Key, "AWS_SECRET_ACCESS_KEY=" + s3Secret, "AWS_SESSION_TOKEN=",
		"AWS_REGION=us-east-1", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
	}
}

func (versity) create(_ context.Context, _, dir, name string) error {
	return os.Mkdir(filepath.Join(dir, "buckets", name), 0o755)
}

func (versity) url(addr, name string) string {
	return "s3://" + name + "?region=us-east-1&use_path_style=true&endpoint=http://" + addr
}

// port is the port of an address.
func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr) // addr comes from a listener
	return p
}
