package emulator

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInfluxNamesWhatIsMissing: a machine that cannot have the programs is told which, and tests may skip.
func TestInfluxNamesWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("VARVE_TOOLS", t.TempDir())
	_, _, err := Influx(t.Context())
	require.ErrorIs(t, err, ErrNoTool)
	require.True(t, strings.HasPrefix(err.Error(), "influxd: influxdb needs apt-get, which is not installed"), "%v", err)
}
