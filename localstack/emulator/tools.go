package emulator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/varvedb/varve/internal/vfs"
)

// ErrNoTool says that the machine lacks what is needed to get the program.
var ErrNoTool = errors.New("tool not available")

// Install makes sure that the program of the backend is there, so that tests need not wait for it. An error may be ErrNoTool.
func Install(ctx context.Context, k Kind) error {
	b, err := backendOf(k)
	if err != nil {
		return err
	}
	_, _, err = b.command(ctx, "127.0.0.1:0", os.TempDir())
	return err
}

// tools is the place of built programs, and root that of the checkout.
func toolsDir() (tools, root string, err error) {
	if root, err = checkout(); err != nil {
		return "", "", err
	}
	if tools = os.Getenv("VARVE_TOOLS"); tools == "" {
		tools = filepath.Join(root, ".tools")
	}
	return tools, root, os.MkdirAll(tools, 0o755)
}

// checkout finds the root of the checkout: tests run in the folders of their packages.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "localstack", "tools", "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not within a checkout of Varve")
		}
		dir = parent
	}
}

// once builds target if it is missing, one process at a time for each builder (two Go builds would compile the same packages twice, npm gets in
// nobody's way). What build leaves at the path it gets appears under the name target only when it is complete.
func once(tools, builder, target string, build func(tmp string) error) error {
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	lock, err := vfs.OS{}.Lock(filepath.Join(tools, builder+".lock"), true)
	if err != nil {
		return err
	}
	defer lock.Close() // ends with the process if not here
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp := target + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := build(tmp); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return os.Rename(tmp, target)
}

// goTool builds a main package of a module under localstack and returns the path of the program. Its name carries a
// hash of the module file, so that a new version is a new file.
func goTool(ctx context.Context, moduleName, name, pkg string) (string, error) {
	tools, root, err := toolsDir()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "localstack", moduleName)
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return "", err
	}
	target := filepath.Join(tools, fmt.Sprintf("%s@%x", name, sha256.Sum256(mod))[:len(name)+13])
	err = once(tools, "go", target, func(tmp string) error {
		return run(ctx, module, []string{"GOFLAGS=-mod=readonly -buildvcs=false", "CGO_ENABLED=0", "GOWORK=off"},
			"go", "build", "-ldflags=-s -w", "-o", tmp, pkg)
	})
	return target, err
}

// npmTool installs a package of exactly that version and returns its folder.
func npmTool(ctx context.Context, name, version string) (string, error) {
	tools, _, err := toolsDir()
	if err != nil {
		return "", err
	}
	target := filepath.Join(tools, name+"@"+version)
	err = once(tools, "npm", target, func(tmp string) error {
		if _, err := exec.LookPath("npm"); err != nil {
			return fmt.Errorf("%s needs npm, which is not installed: %w", name, ErrNoTool)
		}
		if err := os.Mkdir(tmp, 0o755); err != nil {
			return err
		}
		return run(ctx, tmp, nil, "npm", "install", "--prefix", tmp, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", name+"@"+version)
	})
	return filepath.Join(target, "node_modules", name), err
}

// debTool unpacks a package of Debian, which is not installed and of which no service is started, and returns its folder. Without the lists of packages
// root fetches them.
func debTool(ctx context.Context, name string) (string, error) {
	tools, _, err := toolsDir()
	if err != nil {
		return "", err
	}
	target := filepath.Join(tools, "debian-"+name)
	err = once(tools, "apt", target, func(tmp string) error {
		for _, need := range []string{"apt-get", "dpkg-deb"} {
			if _, err := exec.LookPath(need); err != nil {
				return fmt.Errorf("%s needs %s, which is not installed: %w", name, need, ErrNoTool)
			}
		}
		if err := os.Mkdir(tmp, 0o755); err != nil {
			return err
		}
		err := run(ctx, tmp, nil, "apt-get", "-qq", "download", name)
		if err != nil && os.Geteuid() == 0 {
			if err = run(ctx, tmp, nil, "apt-get", "-qq", "update"); err == nil {
				err = run(ctx, tmp, nil, "apt-get", "-qq", "download", name)
			}
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoTool, err)
		}
		debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
		if err != nil || len(debs) != 1 {
			return fmt.Errorf("download of %s brought %v: %w", name, debs, ErrNoTool)
		}
		return run(ctx, tmp, nil, "dpkg-deb", "-x", debs[0], tmp)
	})
	return target, err
}

func run(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, args[0], err, bytes.TrimSpace(out[max(0, len(out)-2000):]))
	}
	return nil
}
