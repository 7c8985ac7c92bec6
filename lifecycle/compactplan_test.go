package lifecycle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
)

// dayBlock is a live block for the planner: of the test day, its bytes and when it was added in minutes from the midnight at the day's end.
type dayBlock struct {
	id     string
	order  uint64
	cold   bool
	bytes  int64
	added  int
	writer string
	// from and to are hours of the day; 0, 0 is all of it.
	from, to int64
}

func TestPlanCompact(t *testing.T) {
	day := testDay.Range()
	midnight := day.MaxMs + 1
	hot := func(id string, order uint64, added int) dayBlock {
		return dayBlock{id: id, order: order, bytes: 100, added: added, writer: "w"}
	}
	cold := func(id string, order uint64, bytes int64) dayBlock {
		return dayBlock{id: id, order: order, cold: true, bytes: bytes, added: 10}
	}
	active := []catalog.Writer{{ID: "w", State: catalog.Active}}
	for name, c := range map[string]struct {
		blocks  []dayBlock
		writers []catalog.Writer
		// now is in minutes from midnight.
		now  int
		edit func(p *catalog.Partition, s *CompactSettings)
		// want are the inputs; why a part of the reason for none.
		want []string
		why  string
	}{
		"nothing":                             {now: 600, why: "no hot blocks"},
		"only parquet":                        {blocks: []dayBlock{cold("a", 1, 100)}, now: 6000, why: "no hot blocks"},
		"the day is not over":                 {blocks: []dayBlock{hot("a", 1, -60)}, now: -1, why: "not over"},
		"nobody writes":                       {blocks: []dayBlock{hot("a", 1, -60)}, now: 0, want: []string{"a"}},
		"a writer may hold more":              {blocks: []dayBlock{hot("a", 1, -60)}, writers: active, now: 100, why: "writer w has not flushed"},
		"it has flushed":                      {blocks: []dayBlock{hot("a", 1, -60), hot("b", 2, 3)}, writers: active, now: 5, want: []string{"a", "b"}},
		"it flushes no more":                  {blocks: []dayBlock{hot("a", 1, -60)}, writers: active, now: 180, want: []string{"a"}},
		"a writer without any of it":          {blocks: []dayBlock{hot("a", 1, 3)}, writers: []catalog.Writer{{ID: "v", State: catalog.Active}}, now: 29, why: "writer v has not flushed"},
		"a writer without any of it, later":   {blocks: []dayBlock{hot("a", 1, 3)}, writers: []catalog.Writer{{ID: "v", State: catalog.Active}}, now: 30, want: []string{"a"}},
		"a writer that is gone":               {blocks: []dayBlock{hot("a", 1, -60)}, writers: []catalog.Writer{{ID: "w", State: catalog.Clean}}, now: 1, want: []string{"a"}},
		"history that is still coming":        {blocks: []dayBlock{hot("a", 1, 5000), hot("b", 2, 5020)}, now: 5040, why: "a short time ago"},
		"history that has come":               {blocks: []dayBlock{hot("a", 1, 5000), hot("b", 2, 5020)}, now: 5050, want: []string{"a", "b"}},
		"history that never ends":             {blocks: []dayBlock{hot("a", 1, 5000), hot("b", 2, 6440)}, now: 6440, want: []string{"a", "b"}},
		"one late block":                      {blocks: []dayBlock{cold("a", 1, 9000), hot("b", 2, 700)}, now: 800, why: "too few"},
		"five percent":                        {blocks: []dayBlock{cold("a", 1, 2000), hot("b", 2, 700)}, now: 800, want: []string{"a", "b"}},
		"seven late blocks":                   {blocks: append([]dayBlock{cold("a", 1, 90000)}, many(7)...), now: 800, why: "7 blocks of late data"},
		"eight late blocks":                   {blocks: append([]dayBlock{cold("a", 1, 90000)}, many(8)...), now: 800, want: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}},
		"a late block that has waited":        {blocks: []dayBlock{cold("a", 1, 90000), hot("b", 2, 700)}, now: 700 + 24*60, want: []string{"a", "b"}},
		"late data of a day in several parts": {blocks: []dayBlock{cold("a", 4, 900), cold("b", 4, 900), hot("c", 7, 700)}, now: 800, want: []string{"a", "b", "c"}},
		"a quarantined block in between": {
			blocks: []dayBlock{hot("a", 1, 1), hot("b", 2, 1), hot("c", 3, 1), hot("d", 4, 1), hot("e", 5, 1)}, now: 60,
			edit: func(p *catalog.Partition, _ *CompactSettings) {
				p.Quarantined = []catalog.Quarantined{{ID: "b"}}
			},
			want: []string{"c", "d", "e"},
		},
		"a quarantined block of another time": {
			blocks: []dayBlock{
				{id: "a", order: 1, bytes: 9, from: 0, to: 5},
				{id: "b", order: 2, bytes: 9, from: 6, to: 9},
				{id: "c", order: 3, bytes: 9, from: 0, to: 5},
			},
			now:  60,
			edit: func(p *catalog.Partition, _ *CompactSettings) { p.Quarantined = []catalog.Quarantined{{ID: "b"}} },
			want: []string{"a", "c"},
		},
		"all are quarantined": {
			blocks: []dayBlock{hot("a", 1, 1)}, now: 60, why: "may be merged",
			edit: func(p *catalog.Partition, _ *CompactSettings) { p.Quarantined = []catalog.Quarantined{{ID: "a"}} },
		},
		"somebody is at it": {
			blocks: []dayBlock{hot("a", 1, 1), hot("b", 2, 1)}, now: 60, why: "claimed",
			edit: func(p *catalog.Partition, _ *CompactSettings) {
				p.Claims = []catalog.Claim{{Job: "merge/2-2", Holder: "x", UntilMs: p.Day.Range().MaxMs + 61*60_000}}
			},
		},
		"more blocks than fit": {
			blocks: append([]dayBlock{hot("a", 1, 30)}, many(5)...), now: 800, want: []string{"a", "b", "c"},
			edit: func(_ *catalog.Partition, s *CompactSettings) { s.MaxInputs = 3 },
		},
		"off":        {blocks: []dayBlock{hot("a", 1, 1)}, now: 600, why: "off", edit: func(_ *catalog.Partition, s *CompactSettings) { s.Off = true }},
		"gravestone": {blocks: []dayBlock{hot("a", 1, 1)}, now: 600, why: "deleted", edit: func(p *catalog.Partition, _ *CompactSettings) { p.GravestoneMs = 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			p := &catalog.Partition{Tenant: "t", Day: testDay, Flushed: map[string]uint64{}}
			for _, b := range c.blocks {
				at := midnight + int64(b.added)*60_000
				m := &blocks.Meta{
					ID: b.id, Format: blocks.Native, Writer: b.writer, Size: b.bytes, CreatedMs: at,
					MinT: day.MinMs + b.from*3_600_000, MaxT: day.MinMs + b.to*3_600_000,
				}
				if b.to == 0 {
					m.MaxT = day.MaxMs
				}
				if b.cold {
					m.Format = blocks.Parquet
				}
				if b.writer != "" {
					p.Flushed[b.writer] = b.order
				}
				p.Blocks = append(p.Blocks, catalog.Entry{Meta: m, Order: b.order, AddedMs: at})
			}
			s := &CompactSettings{}
			if c.edit != nil {
				c.edit(p, s)
			}
			now := midnight + int64(c.now)*60_000
			m, why := PlanCompact(p, &catalog.Roster{Writers: c.writers}, s, now)
			if c.want == nil {
				require.Nil(t, m)
				require.Contains(t, why, c.why)
				return
			}
			require.NotNil(t, m, why)
			require.Equal(t, c.want, ids(m.Inputs))
			require.Equal(t, blocks.Parquet, m.Format)
			require.Contains(t, m.Job(), "compact/")
		})
	}
}

// many are small late blocks from b on.
func many(n int) (out []dayBlock) {
	for i := range n {
		out = append(out, dayBlock{id: string(rune('b' + i)), order: uint64(i + 2), bytes: 1, added: 700 + i})
	}
	return out
}

// TestCompactWake follows a partition through time: whatever becomes due does so at a time that was announced.
func TestCompactWake(t *testing.T) {
	midnight := testDay.Range().MaxMs + 1
	s := (&CompactSettings{}).withDefaults()
	entry := func(id string, order uint64, f blocks.Format, size, at int64) catalog.Entry {
		return catalog.Entry{Order: order, AddedMs: at, Meta: &blocks.Meta{
			ID: id, Format: f, Writer: "w", Size: size, CreatedMs: at, MinT: testDay.Range().MinMs, MaxT: testDay.Range().MaxMs,
		}}
	}
	for name, p := range map[string]*catalog.Partition{
		"open":    {Blocks: []catalog.Entry{entry("a", 1, blocks.Native, 100, midnight-7_000_000)}},
		"late":    {Blocks: []catalog.Entry{entry("a", 1, blocks.Parquet, 100_000, midnight), entry("b", 2, blocks.Native, 100, midnight+50_000_000)}},
		"history": {Blocks: []catalog.Entry{entry("a", 1, blocks.Native, 100, midnight+500_000_000)}},
	} {
		p.Day, p.Flushed = testDay, map[string]uint64{"w": 1}
		r := &catalog.Roster{Writers: []catalog.Writer{{ID: "v", State: catalog.Active}, {ID: "w", State: catalog.Active}}}
		now := p.Blocks[len(p.Blocks)-1].AddedMs
		for range 20 {
			m, why := PlanCompact(p, r, &s, now)
			if m != nil {
				break
			}
			next := compactWake(p, &s, now)
			require.Greater(t, next, now, "%s: waits for ever: %s", name, why)
			m, _ = PlanCompact(p, r, &s, next-1)
			require.Nil(t, m, "%s: was due before %s", name, time.UnixMilli(next).UTC())
			now = next
		}
		m, why := PlanCompact(p, r, &s, now)
		require.NotNil(t, m, "%s: %s", name, why)
	}
}
