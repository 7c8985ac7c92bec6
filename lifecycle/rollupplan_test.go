package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// dayOf makes a partition of blocks, a word each: ID ORDER [hot|cold|5m|1h] [rolled] [quarantined] [applied=TOMBSTONE], separated by commas. They were
// added an hour after midnight.
func dayOf(t *testing.T, text string) *catalog.Partition {
	day := testDay.Range()
	p := &catalog.Partition{Tenant: "t", Day: testDay, Flushed: map[string]uint64{}}
	for line := range strings.SplitSeq(text, ",") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		e := catalog.Entry{AddedMs: day.MaxMs + 3_600_001, Order: uint64(option(t, append(f, "order="+f[1]), "order"))}
		e.Meta = &blocks.Meta{ID: f[0], Format: blocks.Native, Size: 100, MinT: day.MinMs, MaxT: day.MaxMs}
		for _, word := range f[2:] {
			switch word {
			case "cold":
				e.Format = blocks.Parquet
			case "5m":
				e.Format = blocks.Rollup5m
			case "1h":
				e.Format = blocks.Rollup1h
			case "rolled":
				e.Rolled = true
			case "quarantined":
				p.Quarantined = append(p.Quarantined, catalog.Quarantined{ID: e.ID})
			}
			if id, ok := strings.CutPrefix(word, "applied="); ok {
				e.Tombstones = append(e.Tombstones, id)
			}
		}
		if catalog.IsRollup(e.Format) {
			p.Rollups = append(p.Rollups, e)
		} else {
			p.Blocks = append(p.Blocks, e)
		}
		p.Generation = max(p.Generation, e.Order)
	}
	return p
}

const (
	someRolled = "a 1 cold rolled, b 2 cold rolled, m 2 5m, h 2 1h"
	lateCold   = someRolled + ", c 5 cold"
	lateHot    = someRolled + ", c 5 hot"
)

func TestPlanRollup(t *testing.T) {
	year := &Retention{Raw: "30d", Rollups: "365d"}
	delete1 := func(scope catalog.Scope, order uint64, atMs int64) func(p *catalog.Partition) {
		return func(p *catalog.Partition) {
			p.Tombstones = append(p.Tombstones, catalog.Tombstone{
				ID: "x", Order: order, CreatedMs: atMs, Range: model.TimeRange{MinMs: testDay.Range().MinMs, MaxMs: testDay.Range().MinMs + 5}, Matchers: `{a="b"}`, Scope: scope,
			})
		}
	}
	thinned := func(p *catalog.Partition) { p.Thinned = true }
	end := testDay.Range().MaxMs + 1
	// sourced says of which generation of a writer blocks are, and that the rollups have those from 1 to 2.
	sourced := func(generations map[string]uint64) func(p *catalog.Partition) {
		return func(p *catalog.Partition) {
			for i := range p.Blocks {
				p.Blocks[i].Sources = []blocks.Source{{Writer: "w", From: generations[p.Blocks[i].ID], To: generations[p.Blocks[i].ID]}}
			}
			for i := range p.Rollups {
				p.Rollups[i].Sources = []blocks.Source{{Writer: "w", From: 1, To: 2}}
			}
		}
	}
	const lateQuarantined = "a 1 cold rolled quarantined, b 2 cold rolled, m 2 5m, h 2 1h, c 5 cold"
	for name, c := range map[string]struct {
		blocks    string
		retention *Retention
		// days are those since the end of the day, minutes come on top.
		days, minutes int64
		edit          []func(p *catalog.Partition)
		want          string // inputs
		keep, masked  bool
		why           string
	}{
		"nobody wants any":              {blocks: "a 1 cold", retention: &Retention{Raw: "30d"}, days: 1, why: "no rollups are wanted"},
		"nothing there":                 {retention: year, days: 1, why: "no blocks"},
		"compacted":                     {blocks: "a 1 cold, b 1 cold", retention: year, days: 1, want: "a b"},
		"one rule says an age":          {blocks: "a 1 cold", retention: &Retention{Rules: []RetentionRule{{Matchers: `{a="b"}`, Rollups: "9d"}}}, days: 1, want: "a"},
		"hot":                           {blocks: "a 1, b 2", retention: year, days: 1, why: "hot"},
		"hot, and raw wants to expire":  {blocks: "a 1, b 2", retention: year, days: 30, want: "a b"},
		"all rolled":                    {blocks: someRolled, retention: year, days: 1, why: "all blocks are rolled"},
		"late and hot":                  {blocks: lateHot, retention: year, days: 1, why: "hot"},
		"late and compacted":            {blocks: lateCold, retention: year, days: 1, want: "a b c"},
		"late and hot beside compacted": {blocks: lateCold + ", d 6", retention: year, days: 1, want: "a b c d"},
		"kept up though nobody says an age now": {
			blocks: lateCold, retention: &Retention{}, days: 1, want: "a b c",
		},
		"rollups have expired": {blocks: lateCold, retention: year, days: 365, why: "no rollups are wanted"},
		"rollups of some have": {
			blocks: lateCold, days: 400, want: "a b c",
			retention: &Retention{Rollups: "365d", Rules: []RetentionRule{{Matchers: `{a="b"}`, Rollups: "forever"}}},
		},
		"thinned, at once": {blocks: lateHot, retention: year, days: 0, minutes: 89, edit: []func(*catalog.Partition){thinned}, why: "a short time ago"},
		"thinned, settled": {blocks: lateHot, retention: year, days: 0, minutes: 90, edit: []func(*catalog.Partition){thinned}, want: "a b c", keep: true},
		"thinned, never settled, for a day": {
			blocks: lateHot + ", d 6", retention: year, days: 1, minutes: 60, want: "a b c d", keep: true,
			edit: []func(*catalog.Partition){thinned, func(p *catalog.Partition) { p.Blocks[3].AddedMs = end + model.MsPerDay + 3_000_000 }},
		},
		"thinned, never settled, for less": {
			blocks: lateHot + ", d 6", retention: year, days: 1, minutes: 59, why: "a short time ago",
			edit: []func(*catalog.Partition){thinned, func(p *catalog.Partition) { p.Blocks[3].AddedMs = end + model.MsPerDay + 3_000_000 }},
		},
		"thinned, many": {
			blocks: "m 2 5m, h 2 1h, a 3, b 4, c 5, d 6, e 7, f 8, g 9, i 10", retention: year, days: 0, minutes: 61, edit: []func(*catalog.Partition){thinned}, want: "a b c d e f g i", keep: true,
		},
		"quarantined and not rolled": {
			blocks: someRolled + ", c 5 cold quarantined", retention: year, days: 1, why: "all blocks are rolled",
		},
		"quarantined and rolled": {
			blocks: lateQuarantined, retention: year, days: 1, want: "b c", keep: true,
			edit: []func(*catalog.Partition){sourced(map[string]uint64{"a": 1, "b": 2, "c": 5})},
		},
		"quarantined and rolled, what is late is of an earlier generation": {
			blocks: lateQuarantined, retention: year, days: 1, want: "b c", keep: true,
			edit: []func(*catalog.Partition){sourced(map[string]uint64{"a": 1, "b": 2, "c": 0})},
		},
		"quarantined and rolled, others were rewritten": {
			blocks: lateQuarantined, retention: year, days: 1, why: "rewritten since",
			edit: []func(*catalog.Partition){sourced(map[string]uint64{"a": 1, "b": 2, "c": 2})},
		},
		"a rollup is quarantined": {
			blocks: "a 1 cold rolled, m 1 5m quarantined, h 1 1h, c 5 cold", retention: year, days: 1, want: "a c",
		},
		"a rollup is quarantined that is needed": {
			blocks: "a 1 cold rolled, m 1 5m quarantined, h 1 1h, c 5 cold", retention: year, days: 1, edit: []func(*catalog.Partition){thinned}, why: "a rollup that is needed",
		},
		"claimed by a compaction": {
			blocks: lateCold, retention: year, days: 1, why: "claimed",
			edit: []func(*catalog.Partition){func(p *catalog.Partition) {
				p.Claims = []catalog.Claim{{Job: "compact/1-2", UntilMs: end + model.MsPerDay + catalog.MaxClaimMs}}
			}},
		},
		"claimed once, by a worker that is gone": {
			blocks: lateCold, retention: year, days: 1, want: "a b c",
			edit: []func(*catalog.Partition){func(p *catalog.Partition) {
				p.Claims = []catalog.Claim{{Job: "compact/1-2", UntilMs: end}}
			}},
		},
		"claimed by another roll-up of nothing but rollups": {
			blocks: "m 2 5m, h 2 1h", retention: year, days: 1, why: "claimed",
			edit: []func(*catalog.Partition){thinned, delete1(catalog.ScopeAll, 9, end), func(p *catalog.Partition) {
				p.Claims = []catalog.Claim{{Job: "rollup/0-2", UntilMs: end + model.MsPerDay + catalog.MaxClaimMs}}
			}},
		},
		"a delete of all, just now":              {blocks: someRolled, retention: year, days: 1, edit: []func(*catalog.Partition){delete1(catalog.ScopeAll, 9, end+model.MsPerDay)}, why: "all blocks are rolled"},
		"a delete, to be applied to raw first":   {blocks: someRolled, retention: year, days: 1, edit: []func(*catalog.Partition){delete1(catalog.ScopeAll, 9, end)}, why: "delete"},
		"a delete, applied to raw":               {blocks: "a 1 cold applied=x, m 1 5m, h 1 1h", retention: year, days: 1, edit: []func(*catalog.Partition){delete1(catalog.ScopeAll, 9, end)}, want: "a"},
		"a delete that raw blocks have not":      {blocks: "a 1 cold rolled applied=x, m 1 5m, h 1 1h", retention: year, days: 1, edit: []func(*catalog.Partition){delete1(catalog.ScopeAll, 9, end)}, want: "a", masked: true},
		"a delete where raw samples have gone":   {blocks: "m 1 5m, h 1 1h", retention: year, days: 40, edit: []func(*catalog.Partition){thinned, delete1(catalog.ScopeAll, 9, end)}, want: "", keep: true, masked: true},
		"rollups of some series expired":         {blocks: someRolled, retention: year, days: 1, edit: []func(*catalog.Partition){delete1(catalog.ScopeRollups, 9, end)}, want: "a b", masked: true},
		"raw samples of some series expired":     {blocks: someRolled, retention: year, days: 1, edit: []func(*catalog.Partition){thinned, delete1(catalog.ScopeRaw, 9, end)}, why: "all blocks are rolled"},
		"a delete that masks windows at the end": {blocks: someRolled, retention: year, days: 1, edit: []func(*catalog.Partition){delete1(catalog.ScopeAll, 1, end)}, why: "all blocks are rolled"},
		"the tenant was deleted":                 {blocks: lateCold, retention: year, days: 1, edit: []func(*catalog.Partition){func(p *catalog.Partition) { p.GravestoneMs = 1 }}, why: "deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			p := dayOf(t, c.blocks)
			for _, edit := range c.edit {
				edit(p)
			}
			roll, why := PlanRollup(p, c.retention, &CompactSettings{}, 15*time.Minute, end+c.days*model.MsPerDay+c.minutes*60_000)
			if c.why != "" {
				require.Nil(t, roll)
				require.Contains(t, why, c.why)
				return
			}
			require.NotNil(t, roll, why)
			require.Equal(t, c.want, strings.Join(ids(roll.Inputs), " "))
			require.Equal(t, ids(p.Rollups), ids(roll.Old), "all of them are replaced")
			require.Equal(t, c.keep, roll.Keep)
			require.Equal(t, c.masked, roll.Masked)
		})
	}
}

// TestPlanRetentionOfRollups: raw samples wait for rollups, and both go by their own ages.
func TestPlanRetentionOfRollups(t *testing.T) {
	year := &Retention{Raw: "30d", Rollups: "365d"}
	rules := &Retention{Raw: "30d", Rollups: "365d", Rules: []RetentionRule{{Matchers: `{a="b"}`, Raw: "7d"}, {Matchers: `{c="d"}`, Rollups: "90d"}}}
	for name, c := range map[string]struct {
		blocks    string
		retention *Retention
		days      int64
		want      string
		why       string
	}{
		"too young":                     {blocks: someRolled, retention: year, days: 29, why: "nothing has expired"},
		"rolled":                        {blocks: someRolled, retention: year, days: 30, want: "retire 2 raw blocks"},
		"not rolled":                    {blocks: lateHot, retention: year, days: 30, why: "raw samples wait for rollups of 1 blocks"},
		"not rolled, never to be":       {blocks: someRolled + ", c 5 quarantined", retention: year, days: 30, want: "retire 3 raw blocks"},
		"nobody wants rollups":          {blocks: "a 1 cold", retention: &Retention{Raw: "30d"}, days: 30, want: "retire 1 blocks"},
		"rollups have expired as well":  {blocks: lateHot, retention: year, days: 365, want: "retire 3 blocks"},
		"rollups alone":                 {blocks: "m 2 5m, h 2 1h", retention: year, days: 365, want: "retire 2 rollup blocks"},
		"rollups alone, young":          {blocks: "m 2 5m, h 2 1h", retention: year, days: 364, why: "masked or was removed"},
		"rollups before raw":            {blocks: someRolled, retention: &Retention{Rollups: "9d"}, days: 9, want: "retire 2 rollup blocks"},
		"no age of rollups is raw's":    {blocks: someRolled, retention: &Retention{Raw: "9d"}, days: 9, want: "retire 2 blocks"},
		"by rule, not rolled":           {blocks: lateHot, retention: rules, days: 8, why: "wait for rollups"},
		"by rule":                       {blocks: someRolled, retention: rules, days: 8, want: `mask raw {a="b"}`},
		"rollups by rule":               {blocks: "m 2 5m, h 2 1h", retention: rules, days: 90, want: `mask rollup {c="d",a!="b"}`},
		"both by rule, raw first":       {blocks: someRolled, retention: rules, days: 90, want: "retire 2 raw blocks"},
		"rollups by rule, raw not":      {blocks: lateHot, retention: rules, days: 90, want: `mask rollup {c="d",a!="b"}`},
		"one rule alone wants rollups":  {blocks: someRolled, retention: &Retention{Raw: "9d", Rules: []RetentionRule{{Matchers: `{a="b"}`, Rollups: "90d"}}}, days: 9, want: "retire 2 raw blocks"},
		"the others go with raw":        {blocks: "m 2 5m", retention: &Retention{Raw: "9d", Rules: []RetentionRule{{Matchers: `{a="b"}`, Rollups: "90d"}}}, days: 9, want: `mask rollup {__name__=~".+",a!="b"}`},
		"and so they do not, if it has": {blocks: "m 2 5m", retention: &Retention{Rules: []RetentionRule{{Matchers: `{a="b"}`, Rollups: "90d"}}}, days: 80, why: "nothing has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			p := dayOf(t, c.blocks)
			e, why, err := PlanRetention(p, c.retention, testDay.Range().MaxMs+1+c.days*model.MsPerDay)
			require.NoError(t, err)
			if c.why != "" {
				require.Nil(t, e)
				require.Contains(t, why, c.why)
				return
			}
			require.NotNil(t, e, why)
			require.Equal(t, c.want, e.describe())
			require.Equal(t, strings.Contains(c.want, " raw "), e.Thin || e.Tombstone != nil && e.Tombstone.Scope == catalog.ScopeRaw)
		})
	}
}

// TestMergesOfThinnedDays: what is rolled and what is not are not merged there.
func TestMergesOfThinnedDays(t *testing.T) {
	p := dayOf(t, "a 1 cold rolled, b 2 hot rolled, c 3 hot rolled, d 4 hot, e 5 hot")
	now := testDay.Range().MaxMs + 1 + 3*model.MsPerDay
	m, _ := PlanCompact(p, &catalog.Roster{}, &CompactSettings{}, now)
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, ids(m.Inputs))
	p.Thinned = true
	m, _ = PlanCompact(p, &catalog.Roster{}, &CompactSettings{}, now)
	require.Equal(t, []string{"a", "b", "c"}, ids(m.Inputs))
	m, _ = PlanMerge(p, &MergeSettings{MaxBlocks: 1}, now)
	require.Equal(t, []string{"b", "c"}, ids(m.Inputs))
}
