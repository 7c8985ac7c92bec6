package lifecycle

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// TestPlanErase: which blocks are due, and when somebody should look again.
func TestPlanErase(t *testing.T) {
	const minute, after = 60_000, 15 * time.Minute
	day := testDay.Range()
	block := func(id string, order uint64, applied ...string) catalog.Entry {
		return catalog.Entry{Order: order, Meta: &blocks.Meta{ID: id, Format: blocks.Native, Day: testDay, MinT: day.MinMs, MaxT: day.MinMs + 1000, Tombstones: applied}}
	}
	tomb := func(id string, order uint64, createdMin int64) catalog.Tombstone {
		return catalog.Tombstone{ID: id, Order: order, CreatedMs: createdMin * minute, Range: day, Matchers: "m"}
	}
	for name, c := range map[string]struct {
		p    catalog.Partition
		now  int64 // minutes
		due  []string
		wake int64 // minutes, 0 is never
	}{
		"nothing":          {catalog.Partition{Blocks: []catalog.Entry{block("a", 1)}}, 100, nil, 0},
		"too early":        {catalog.Partition{Blocks: []catalog.Entry{block("a", 1)}, Tombstones: []catalog.Tombstone{tomb("x", 2, 100)}}, 114, nil, 115},
		"due":              {catalog.Partition{Blocks: []catalog.Entry{block("a", 1)}, Tombstones: []catalog.Tombstone{tomb("x", 2, 100)}}, 115, []string{"a"}, 115},
		"of the oldest":    {catalog.Partition{Blocks: []catalog.Entry{block("a", 1)}, Tombstones: []catalog.Tombstone{tomb("x", 2, 110), tomb("y", 3, 90)}}, 106, []string{"a"}, 105},
		"above":            {catalog.Partition{Blocks: []catalog.Entry{block("a", 3)}, Tombstones: []catalog.Tombstone{tomb("x", 2, 0)}}, 500, nil, catalog.TombstoneKeepMs / minute},
		"applied":          {catalog.Partition{Blocks: []catalog.Entry{block("a", 1, "x")}, Tombstones: []catalog.Tombstone{tomb("x", 2, 0)}}, 500, nil, catalog.TombstoneKeepMs / minute},
		"applied in part":  {catalog.Partition{Blocks: []catalog.Entry{block("a", 1, "x")}, Tombstones: []catalog.Tombstone{tomb("x", 2, 0), tomb("y", 3, 480)}}, 500, []string{"a"}, 495},
		"some":             {catalog.Partition{Blocks: []catalog.Entry{block("a", 1), block("b", 2, "x"), block("c", 5)}, Tombstones: []catalog.Tombstone{tomb("x", 4, 0)}}, 500, []string{"a"}, 15},
		"another time":     {catalog.Partition{Blocks: []catalog.Entry{block("a", 1)}, Tombstones: []catalog.Tombstone{{ID: "x", Order: 2, Range: model.TimeRange{MinMs: day.MinMs + 1001, MaxMs: day.MaxMs}}}}, 500, nil, catalog.TombstoneKeepMs / minute},
		"quarantined":      {catalog.Partition{Blocks: []catalog.Entry{block("a", 1)}, Tombstones: []catalog.Tombstone{tomb("x", 2, 0)}, Quarantined: []catalog.Quarantined{{ID: "a"}}}, 500, nil, 0},
		"of a deleted one": {catalog.Partition{GravestoneMs: 1, Blocks: []catalog.Entry{block("a", 1)}, Tombstones: []catalog.Tombstone{tomb("x", 2, 0)}}, 500, nil, 15},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.p
			p.Tenant, p.Day = "t", testDay
			due := PlanErase(&p, after, c.now*minute)
			require.Equal(t, c.due, slicesOrNil(ids(due)))
			require.Equal(t, c.wake, eraseWake(&p, after)/minute)
			require.Equal(t, c.due != nil || c.now < c.wake, len(PlanErase(&p, 0, c.now*minute)) > 0 || c.wake > 1000, "at once")
		})
	}
	// A claimed job has its inputs for itself as long as the claim lasts.
	m := Merge{Inputs: []catalog.Entry{block("a", 1)}}
	p := catalog.Partition{
		Tenant: "t", Day: testDay, Blocks: []catalog.Entry{block("a", 1), block("b", 9)}, Tombstones: []catalog.Tombstone{tomb("x", 10, 0)},
		Claims: []catalog.Claim{{Job: m.Job(), Holder: "h", UntilMs: 60 * minute}},
	}
	require.Equal(t, []string{"b"}, ids(PlanErase(&p, after, 30*minute)))
	require.Equal(t, []string{"a", "b"}, ids(PlanErase(&p, after, 61*minute)))
	// Not more at a time than a commit should name.
	p = catalog.Partition{Tenant: "t", Day: testDay, Tombstones: []catalog.Tombstone{tomb("x", 1000, 0)}}
	for i := range 3 * maxErased {
		p.Blocks = append(p.Blocks, block(fmt.Sprint(i), uint64(i+1)))
	}
	require.Len(t, PlanErase(&p, after, 30*minute), maxErased)
}

func slicesOrNil(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return s
}

// TestPlanForget: a tombstone stays for as long as it masks, and for a week.
func TestPlanForget(t *testing.T) {
	day := testDay.Range()
	const keep = catalog.TombstoneKeepMs
	e := catalog.Entry{Order: 1, Meta: &blocks.Meta{ID: "a", Format: blocks.Native, Day: testDay, MinT: day.MinMs, MaxT: day.MaxMs, Tombstones: []string{"done"}}}
	p := catalog.Partition{Tenant: "t", Day: testDay, Blocks: []catalog.Entry{e}, Tombstones: []catalog.Tombstone{
		{ID: "done", Order: 2, Range: day}, {ID: "masks", Order: 3, Range: day}, {ID: "young", Order: 0, CreatedMs: 1, Range: day},
	}}
	require.Empty(t, PlanForget(&p, keep-1))
	require.Equal(t, []string{"done"}, PlanForget(&p, keep))
	got := PlanForget(&p, keep+1)
	slices.Sort(got)
	require.Equal(t, []string{"done", "young"}, got)
	p.GravestoneMs = 1
	require.Empty(t, PlanForget(&p, keep+1))
}
