package own

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// TestThinned: a day whose raw samples have expired is named, whether something of it is left or not.
func TestThinned(t *testing.T) {
	r := model.Day(3).Range()
	s := &Source{skips: migrate.NewSkips(false)}
	p := &catalog.Partition{Day: 3, Thinned: true, Rollups: []catalog.Entry{{Meta: &blocks.Meta{Samples: 7}}}}
	e, err := s.extent(p, r)
	require.NoError(t, err)
	require.Nil(t, e)
	require.Equal(t, map[string]int64{"samples": 1}, s.skips.Counts())
	require.Contains(t, s.skips.Named()[0].String(), "7 windows")

	p.Blocks = []catalog.Entry{{Meta: &blocks.Meta{ID: "b", Writer: "w", Samples: 10, MinT: r.MinMs, MaxT: r.MinMs + 9}}}
	e, err = s.extent(p, model.TimeRange{MinMs: r.MinMs, MaxMs: r.MinMs + 4})
	require.NoError(t, err)
	require.Equal(t, int64(5), e.Samples)
}
