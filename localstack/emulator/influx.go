package emulator

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Influx returns the programs of InfluxDB 1: influxd, the one that is installed or Debian's, and influx_inspect, which
// exports what it has. An error may be ErrNoTool.
func Influx(ctx context.Context) (influxd, inspect string, err error) {
	if influxd, err = exec.LookPath("influxd"); err != nil {
		dir, err := debTool(ctx, "influxdb")
		if err != nil {
			return "", "", fmt.Errorf("influxd: %w", err)
		}
		influxd = filepath.Join(dir, "usr", "bin", "influxd")
	}
	if inspect, err = exec.LookPath("influx_inspect"); err == nil {
		return influxd, inspect, nil
	}
	if inspect, err = goTool(ctx, "influx", "influx_inspect", "github.com/influxdata/influxdb/cmd/influx_inspect"); err != nil {
		return "", "", fmt.Errorf("influx_inspect cannot be built (%w): %w", err, ErrNoTool)
	}
	return influxd, inspect, nil
}
