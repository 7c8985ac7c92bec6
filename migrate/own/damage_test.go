package own_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/model"
)

// wide adds a block of many entries: metrics from w00 on, whose values do not compress.
func (p *place) wide(day model.Day, metrics int) *blocks.Meta {
	p.generation++
	series := func(yield func(blocks.BuildSeries, error) bool) {
		for i := range metrics {
			for j := range 10 {
				c := &model.Columns{}
				for t := day.Range().MinMs; t < day.Range().MaxMs; t += 60_000 {
					c.Append(t, p.Rand.Float64())
				}
				ls := labels.FromStrings("__name__", fmt.Sprintf("w%02d", i), "i", fmt.Sprint(j))
				migratetest.Put(p.want, ls, c)
				if !yield(blocks.BuildSeries{Labels: ls, Columns: c}, nil) {
					return
				}
			}
		}
	}
	var out bytes.Buffer
	ctx := context.Background()
	m, err := blocks.Build(ctx, &blocks.Params{Tenant: "t", Day: day, Writer: "w", Generation: p.generation, CreatedMs: p.NowMs}, series, &out)
	require.NoError(p.T, err)
	_, err = p.Own.PutIfAbsent(ctx, blocks.Key(m), out.Bytes())
	require.NoError(p.T, err)
	_, err = p.Catalog.Commit(ctx, "t", day, catalog.Add{Writer: "w", Generation: p.generation, Meta: m})
	require.NoError(p.T, err)
	return m
}

// flip changes a byte of a block.
func (p *place) flip(m *blocks.Meta, at int64) {
	ctx := context.Background()
	data, _, err := p.Own.Get(ctx, blocks.Key(m))
	require.NoError(p.T, err)
	data[at] ^= 1
	_, err = p.Own.Put(ctx, blocks.Key(m), data)
	require.NoError(p.T, err)
}

// TestDamagedPlaces: of a block with damage in several places only what lies there is missing, in both formats, with other blocks before and behind it, read as a whole and by metric.
func TestDamagedPlaces(t *testing.T) {
	for _, format := range []blocks.Format{blocks.Native, blocks.Parquet} {
		for _, section := range []string{"chunks", "series"} {
			t.Run(fmt.Sprint(format, section), func(t *testing.T) { damagedPlaces(t, format, section) })
		}
	}
}

func damagedPlaces(t *testing.T, format blocks.Format, section string) {
	p := newPlace(t)
	day := migratetest.FirstDay
	m := p.wide(day, 20)
	if format == blocks.Parquet {
		p.flush(day)
		p.NowMs += 2 * 86_400_000
		p.compact()
		part, err := p.Catalog.Partition(context.Background(), "t", day, nil)
		require.NoError(t, err)
		require.Len(t, part.Blocks, 1)
		m = part.Blocks[0].Meta
		require.True(t, m.Format.IsParquet())
	}
	big := maps.Clone(p.want)
	p.flush(day) // small, over it
	s := m.Chunks
	if section == "series" {
		s = m.SeriesPages
	}
	p.flip(m, s.Offset+s.Length*3/10)
	if format == blocks.Native { // in so small a block of parquet a page has a third of the series
		p.flip(m, s.Offset+s.Length*7/10)
	}
	skips := migrate.NewSkips(false)
	got, _, err := read(p.open(&own.Options{Rows: true}, skips), everything(), all)
	require.NoError(t, err)
	for k, v := range p.want {
		if g, ok := got[k]; !ok {
			if _, ok := big[k]; !ok {
				t.Fatalf("%s of another block is missing: %v", k, skips.Named())
			}
		} else if g != v {
			t.Fatalf("%s is %s, want %s", k, g, v)
		}
	}
	missing := len(p.want) - len(got)
	require.NotZero(t, missing)
	require.GreaterOrEqual(t, skips.Counts()["block"], int64(1))
	require.Contains(t, skips.Named()[0].String(), "left out")
	t.Logf("%d of %d samples are missing; %v", missing, len(p.want), skips.Named())
	if section == "chunks" {
		// A series page of so small a block has all of its series.
		require.Less(t, missing, len(p.want)/2, "what lies elsewhere is not lost")
	}

	_, _, err = read(p.open(&own.Options{}, migrate.NewSkips(true)), everything(), all)
	require.ErrorIs(t, err, model.ErrInvalid)

	if section != "chunks" || format != blocks.Native {
		return
	}
	// By metric, of one that lies behind the damage.
	w := labels.MustNewMatcher(labels.MatchEqual, "__name__", "w19")
	got, _, err = read(p.open(&own.Options{Matchers: []*labels.Matcher{w}}, migrate.NewSkips(true)), everything(), func(ls labels.Labels) bool { return w.Matches(ls.Get("__name__")) })
	require.NoError(t, err)
	require.Equal(t, 10*1440, len(got))
}

// TestDamageOfManyBlocks: a day is read to its end, however many of its blocks are damaged.
func TestDamageOfManyBlocks(t *testing.T) {
	p := newPlace(t)
	var metas []*blocks.Meta
	for range 14 {
		metas = append(metas, p.flush(migratetest.FirstDay))
	}
	for _, m := range metas {
		p.flip(m, m.SeriesPages.Offset+m.SeriesPages.Length/2)
	}
	skips := migrate.NewSkips(false)
	_, _, err := read(p.open(&own.Options{Rows: true}, skips), everything(), all)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"block": 14}, skips.Counts())
}

// TestMetadataOfDamaged: what is said of metrics comes from the blocks that are well; the others are named once, here or when they are read.
func TestMetadataOfDamaged(t *testing.T) {
	ctx := context.Background()
	for _, gone := range []bool{true, false} {
		p := newPlace(t)
		p.flush(migratetest.FirstDay)
		p.flush(migratetest.FirstDay)
		m := p.flush(migratetest.FirstDay)
		if gone {
			require.NoError(t, p.Own.Delete(ctx, blocks.Key(m)))
		} else {
			p.flip(m, m.SeriesPages.Offset+m.SeriesPages.Length/2)
		}
		skips := migrate.NewSkips(false)
		s := p.open(&own.Options{Rows: true}, skips)
		_, err := s.Days(ctx, everything(), all)
		require.NoError(t, err)
		found, err := s.Metadata(ctx, everything())
		require.NoError(t, err)
		require.NotEmpty(t, found)
		_, _, err = read(s, everything(), all)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"block": 1}, skips.Counts())
	}
}
