package lines

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/protocol/influx"
)

// TestInflux takes over an export, with the same series in two retention policies, and says what it leaves out.
func TestInflux(t *testing.T) {
	at := migratetest.FirstDay.Range().MinMs
	text := fmt.Sprintf(`# DDL
CREATE DATABASE home WITH NAME autogen
# DML
# CONTEXT-DATABASE:home
# CONTEXT-RETENTION-POLICY:autogen
m,a=b f=1,s="x
y" %[1]d000000
m,a=b f=2 %[1]d000999
bad
m,a=b f=3
m,a=b f=4 9000000000000000000
m,__name__=x f=5 %[1]d000000
# CONTEXT-RETENTION-POLICY:year
m,a=b f=6i %[1]d000000
`, at)
	w := migratetest.New(t)
	skips := migrate.NewSkips(false)
	src := NewInflux([]string{write(t, "x.lp.gz", text)}, InfluxOptions{Mapping: influx.DefaultMapping()}, skips, nil)
	defer func() { require.NoError(t, src.Close()) }()
	w.Backfill(migratetest.Small(), src, skips)
	want := map[string]string{}
	sample(want, labels.FromStrings("__name__", "m_f", "a", "b", "db", "home"), at, 2)
	sample(want, labels.FromStrings("__name__", "m_f", "a", "b", "db", "home", "rp", "year"), at, 6)
	w.Complete(want, "%v", skips.Named())
	require.Equal(t, map[string]int64{"line": 1, "series": 1, "samples": 3}, skips.Counts(), "the future, no time, text: %v", skips.Named())
	require.Equal(t, int64(9), skips.Named()[0].Line)
	require.Contains(t, fmt.Sprint(skips.Named()), `field "s" of measurement "m" is text`)
}

// TestInfluxStrict ends at the first line that will not do, and the text of errors is for people.
func TestInfluxStrict(t *testing.T) {
	skips := migrate.NewSkips(true)
	w := migratetest.New(t)
	src := NewInflux([]string{write(t, "x", "m f=1 1\n\x01"+strings.Repeat("z", 5000)+"\x1b[31m\n")}, InfluxOptions{Mapping: influx.DefaultMapping()}, skips, nil)
	defer func() { require.NoError(t, src.Close()) }()
	c, _ := w.Components()
	_, err := migrate.Run(t.Context(), migratetest.Small(), c, src, skips)
	require.ErrorContains(t, err, "line 2")
	require.Less(t, len(err.Error()), 1000)
	require.NotContains(t, err.Error(), "\x1b")
}
