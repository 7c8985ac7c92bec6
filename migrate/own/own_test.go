package own_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/model"
)

// TestRead: hot blocks, parquet and tombstones, with equal timestamps in several blocks; exemplars and metadata only if they are asked for.
func TestRead(t *testing.T) {
	p := newPlace(t)
	p.years()
	skips := migrate.NewSkips(true)
	got, days, err := read(p.open(&own.Options{Rows: true}, skips), everything(), all)
	require.NoError(t, err)
	migratetest.Same(t, p.want, got)
	require.Len(t, days, 3)
	require.True(t, days[0].Whole)
	require.False(t, days[2].Whole)

	got, _, err = read(p.open(&own.Options{}, skips), everything(), all)
	require.NoError(t, err)
	for k := range got {
		require.NotContains(t, k, "varve")
	}
	require.Contains(t, fmt.Sprint(got), "no name")
}

// TestSelection reads metrics by way of the index, and a stretch of time; it is what reading everything and leaving out the rest gives.
func TestSelection(t *testing.T) {
	p := newPlace(t)
	p.years()
	r := model.TimeRange{MinMs: migratetest.FirstDay.Range().MinMs + 7*3_600_000, MaxMs: (migratetest.FirstDay + 1).Range().MinMs + 9*3_600_000}
	for _, ms := range [][]*labels.Matcher{
		{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m1")},
		{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "m1|m3"), labels.MustNewMatcher(labels.MatchEqual, "Zone", "1")},
		{labels.MustNewMatcher(labels.MatchEqual, "i", "5")},
	} {
		want := func(ls labels.Labels) bool {
			for _, m := range ms {
				if !m.Matches(ls.Get(m.Name)) {
					return false
				}
			}
			return true
		}
		skips := migrate.NewSkips(true)
		slow, _, err := read(p.open(&own.Options{}, skips), r, want)
		require.NoError(t, err)
		fast, _, err := read(p.open(&own.Options{Matchers: ms}, skips), r, want)
		require.NoError(t, err)
		migratetest.Same(t, slow, fast, ms)
		require.NotEmpty(t, fast)
		rows, _, err := read(p.open(&own.Options{Matchers: ms, Rows: true}, skips), r, want)
		require.NoError(t, err)
		require.Greater(t, len(rows), len(fast))
	}
}

// TestFingerprint: merges change nothing, flushes and deletes do.
func TestFingerprint(t *testing.T) {
	p := newPlace(t)
	day := migratetest.FirstDay
	print := func() string {
		_, days, err := read(p.open(&own.Options{}, migrate.NewSkips(true)), everything(), all)
		require.NoError(t, err)
		require.Len(t, days, 1)
		return days[0].Fingerprint
	}
	p.flush(day)
	p.flush(day)
	first := print()
	p.compact()
	require.Equal(t, first, print())
	p.flush(day)
	second := print()
	require.NotEqual(t, first, second)
	p.series = p.series[len(p.series)-1:]
	p.remove(day)
	third := print()
	require.NotEqual(t, second, third)
	p.compact()
	p.compact()
	require.Equal(t, third, print(), "what a tombstone hides is rewritten without it")
}

// TestCopy copies a tenant to another bucket, rows included; the second time there is nothing to do.
func TestCopy(t *testing.T) {
	p := newPlace(t)
	p.years()
	there := migratetest.New(t)
	for n := range 2 {
		skips := migrate.NewSkips(true)
		r := there.Backfill(migratetest.Small(), p.open(&own.Options{Rows: true}, skips), skips)
		require.Equal(t, 3, r.Days)
		if n == 1 {
			require.Equal(t, 3, r.Already)
			require.Zero(t, r.Blocks)
		}
		there.Complete(p.want)
	}
}

// TestCollectedWhileRead merges and collects the blocks of the day after each of the reader's calls.
func TestCollectedWhileRead(t *testing.T) {
	seen := 0
	for n := 1; ; n++ {
		p := newPlace(t)
		for range 4 {
			p.flush(migratetest.FirstDay)
		}
		c, d := p.Components()
		calls := 0
		d.SetHook(func(faultblob.Call) faultblob.Action {
			if calls++; calls == n {
				p.compact()
				p.NowMs += 2 * 3_600_000
				p.compact()
			}
			return faultblob.Action{}
		})
		skips := migrate.NewSkips(true)
		s, err := own.Open(c.Bucket, c.Catalog, "t", skips, &own.Options{Rows: true, ReadBytes: 1})
		require.NoError(t, err)
		got, _, err := read(s, everything(), all)
		require.NoError(t, err, "call %d", n)
		migratetest.Same(t, p.want, got, "call %d", n)
		require.NoError(t, s.Close())
		if calls < n {
			break
		}
		seen++
	}
	require.Greater(t, seen, 8)
}

// TestFailingCalls: each call fails once, and the reading with it.
func TestFailingCalls(t *testing.T) {
	p := newPlace(t)
	p.flush(migratetest.FirstDay)
	p.flush(migratetest.FirstDay)
	for n := 1; ; n++ {
		c, d := p.Components()
		d.SetHook(faultblob.Nth(n, faultblob.Action{Kind: faultblob.CrashBefore}))
		s, err := own.Open(c.Bucket, c.Catalog, "t", migrate.NewSkips(true), &own.Options{Rows: true})
		require.NoError(t, err)
		got, _, err := read(s, everything(), all)
		if d.Calls() < n {
			require.NoError(t, err)
			migratetest.Same(t, p.want, got)
			break
		}
		require.Error(t, err, "call %d", n)
	}
}

// TestDamage: a block that is missing, or whose bytes were changed, is named and left out from there on; a strict reader ends.
func TestDamage(t *testing.T) {
	for _, gone := range []bool{true, false} {
		p := newPlace(t)
		p.flush(migratetest.FirstDay)
		rest := p.want
		p.want = map[string]string{}
		m := p.flush(migratetest.FirstDay)
		ctx := context.Background()
		if gone {
			require.NoError(t, p.Own.Delete(ctx, blocks.Key(m)))
		} else {
			data, _, err := p.Own.Get(ctx, blocks.Key(m))
			require.NoError(t, err)
			data[m.SeriesPages.Offset+m.SeriesPages.Length/2] ^= 1
			_, err = p.Own.Put(ctx, blocks.Key(m), data)
			require.NoError(t, err)
		}
		skips := migrate.NewSkips(false)
		got, _, err := read(p.open(&own.Options{Rows: true}, skips), everything(), all)
		require.NoError(t, err)
		for k := range rest {
			require.Contains(t, got, k)
		}
		require.Equal(t, map[string]int64{"block": 1}, skips.Counts())
		require.Contains(t, skips.Named()[0].Where, m.ID)
		_, _, err = read(p.open(&own.Options{}, migrate.NewSkips(true)), everything(), all)
		require.ErrorIs(t, err, model.ErrInvalid)
	}
}

// TestSnapshot reads what was there then, whatever has become of it.
func TestSnapshot(t *testing.T) {
	p := newPlace(t)
	p.years()
	ctx := context.Background()
	_, err := p.Catalog.CreateSnapshot(ctx, "t", "then")
	require.NoError(t, err)
	then := map[string]string{}
	for k, v := range p.want {
		then[k] = v
	}
	p.flush(migratetest.FirstDay)
	p.flush(migratetest.FirstDay + 7)
	p.remove(migratetest.FirstDay + 1)
	p.compact()
	got, _, err := read(p.open(&own.Options{Rows: true, Snapshot: "then"}, migrate.NewSkips(true)), everything(), all)
	require.NoError(t, err)
	migratetest.Same(t, then, got)
	_, _, err = read(p.open(&own.Options{Snapshot: "never"}, migrate.NewSkips(true)), everything(), all)
	require.ErrorIs(t, err, model.ErrInvalid)
}

// TestNobody: a tenant that is not there is an error, not an empty source.
func TestNobody(t *testing.T) {
	store := mem.New()
	b := blob.New(store, nil)
	s, err := own.Open(b, catalog.New(b, nil, catalog.Components{}), "t", migrate.NewSkips(true), nil)
	require.NoError(t, err)
	_, err = s.Days(context.Background(), everything(), all)
	require.ErrorIs(t, err, model.ErrNotFound)
}

// TestMetadata: of each metric what was said last, in the range and at a snapshot.
func TestMetadata(t *testing.T) {
	p := newPlace(t)
	ctx := context.Background()
	says := func(day model.Day, metric, help string) {
		p.generation++
		c := &model.Columns{}
		c.AppendHistogram(day.Range().MinMs+int64(p.generation), model.AppendMetadata(nil, 2, "", help))
		var out bytes.Buffer
		m, err := blocks.Build(ctx, &blocks.Params{Tenant: "t", Day: day, Writer: "w", Generation: p.generation}, func(yield func(blocks.BuildSeries, error) bool) {
			yield(blocks.BuildSeries{Labels: model.MetadataSeries(metric), Columns: c}, nil)
		}, &out)
		require.NoError(t, err)
		_, err = p.Own.PutIfAbsent(ctx, blocks.Key(m), out.Bytes())
		require.NoError(t, err)
		_, err = p.Catalog.Commit(ctx, "t", day, catalog.Add{Writer: "w", Generation: p.generation, Meta: m})
		require.NoError(t, err)
	}
	day := migratetest.FirstDay
	says(day, "a", "first")
	says(day+1, "a", "second")
	says(day+1, "b", "other")
	_, err := p.Catalog.CreateSnapshot(ctx, "t", "then")
	require.NoError(t, err)
	says(day+1, "a", "third")
	for _, tt := range []struct {
		snapshot string
		r        model.TimeRange
		want     map[string]string
	}{
		{"", everything(), map[string]string{"a": "third", "b": "other"}},
		{"", day.Range(), map[string]string{"a": "first"}},
		{"then", everything(), map[string]string{"a": "second", "b": "other"}},
	} {
		s := p.open(&own.Options{Snapshot: tt.snapshot}, migrate.NewSkips(true))
		_, err := s.Days(ctx, tt.r, all)
		require.NoError(t, err)
		found, err := s.Metadata(ctx, tt.r)
		require.NoError(t, err)
		got := map[string]string{}
		for metric, m := range found {
			got[metric] = m.Help
		}
		require.Equal(t, tt.want, got)
	}
}
