package main

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// The status pages tell every flag, as a file those that were given, and no secret.
func TestShownFlags(t *testing.T) {
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.String("bucket", "", "")
	f.String("retention", "forever", "")
	f.StringSlice("replaces", nil, "")
	f.String("config", "", "")
	s, err := showFlags(f, nil)
	require.NoError(t, err)
	require.Empty(t, s.given)

	require.NoError(t, f.Parse([]string{"--bucket", "s3://b?secret=hidden", "--replaces", "x,y", "--config", "/etc/varve.yaml"}))
	s, err = showFlags(f, []string{"GOGC=50", "PASSWORD=hidden", "GODEBUG=a=1"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"bucket": "s3://b?secret=xxx", "retention": "forever", "replaces": "[x,y]"}, s.all)
	require.Equal(t, "bucket: s3://b?secret=xxx\nreplaces:\n    - x\n    - \"y\"\n", s.given)
	require.Equal(t, "forever", s.runtime.Retention)
	require.Equal(t, "50", s.runtime.GOGC)
	require.Equal(t, "a=1", s.runtime.GODEBUG)
	require.NotEmpty(t, s.runtime.Directory)
}
