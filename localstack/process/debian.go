package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Debian finds the program of a Debian package that has the same name; as root it installs what is missing.
// The error says by name what is missing and why.
func Debian(ctx context.Context, name string) (path string, err error) {
	if path, err = exec.LookPath(name); err == nil {
		return path, nil
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return "", fmt.Errorf("%s is not installed, and it takes root and apt-get to do so", name)
	}
	for _, args := range [][]string{{"-qq", "update"}, {"-qq", "install", "-y", "--no-install-recommends", name}} {
		cmd := exec.CommandContext(ctx, apt, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s cannot be installed: apt-get %v: %w\n%s", name, args, err, out)
		}
	}
	if path, err = exec.LookPath(name); err != nil {
		return "", fmt.Errorf("%s is installed, but there is no such program: %w", name, err)
	}
	return path, nil
}
