package lambdaruntime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Build links varve-lambda at the path, as for AWS but for the architecture of this machine. The working directory is within the checkout.
func Build(ctx context.Context, path string) error {
	root, err := checkout()
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, "cmd", "varve-lambda", "build"), runtime.GOARCH, path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build varve-lambda: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// checkout finds the root of the checkout: tests run in the folders of their packages.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "varve-lambda", "build")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not within a checkout of Varve")
		}
		dir = parent
	}
}
