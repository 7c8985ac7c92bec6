package memtable

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func exemplars(key string, at int64, v float64) model.ExemplarRow {
	return model.ExemplarRow{Key: []byte(key), T: at, Count: 1, Row: model.AppendExemplar(model.BeginExemplars(nil), v, 0)}
}

func metadata(metric, help string) model.MetadataRow {
	return model.MetadataRow{Metric: []byte(metric), Row: model.AppendMetadata(nil, 1, "", help)}
}

// say appends what is said beside samples, as an ingester does.
func say(t *testing.T, tab *Table, nowMs int64, rows *Rows, es []model.ExemplarRow, ms []model.MetadataRow) *Rows {
	t.Helper()
	b := &model.Batch{Labels: textKeys{}, Exemplars: es, Metadata: ms}
	require.NoError(t, tab.ResolveRows("a", b, nowMs, rows))
	require.Len(t, rows.Resolved.Refs, len(rows.Batch.Series))
	tab.Append(&rows.Batch, &rows.Resolved)
	return rows
}

// said lists all rows of a tenant, one a line.
func said(t *testing.T, tab *Table) string {
	t.Helper()
	sel, err := tab.Select(t.Context(), "a", everything, []*labels.Matcher{labels.MustNewMatcher(labels.MatchNotEqual, model.ReservedLabel, "")})
	require.NoError(t, err)
	var out []string
	var c model.Columns
	for _, s := range sel.Series {
		c.Reset()
		require.NoError(t, s.Samples(&c, everything))
		for i, row := range c.H {
			if of, ok := model.ExemplarsOf(s.Labels()); ok {
				es, err := model.DecodeExemplars(nil, c.T[i], row)
				require.NoError(t, err)
				out = append(out, fmt.Sprintf("%s %d %v", of, c.T[i], es[0].V))
				continue
			}
			m, err := model.DecodeMetadata(row)
			require.NoError(t, err)
			metric, _ := model.MetadataOf(s.Labels())
			out = append(out, fmt.Sprintf("%s %d %s", metric, c.T[i], m.Help))
		}
	}
	return strings.Join(out, "\n")
}

func TestRows(t *testing.T) {
	tab := New(nil, nil)
	add(t, tab, "a", write{key: "__name__=m,a=1", samples: floats(1, 1)})
	var rows Rows

	// Exemplars of a series that is known, under whatever key; those of another are dropped.
	say(t, tab, 100, &rows, []model.ExemplarRow{
		exemplars("__name__=m,a=1", 5, 1), exemplars("a=1,__name__=m", 7, 2), exemplars("__name__=m,a=2", 5, 3), exemplars("__name__=m,a=1", model.MaxTimeMs+1, 1), exemplars("no pair", 1, 1),
	}, nil)
	require.Equal(t, 2, rows.Exemplars)
	require.Equal(t, 3, rows.DroppedExemplars)
	want := `{__name__="m", a="1"} 5 1` + "\n" + `{__name__="m", a="1"} 7 2`
	require.Equal(t, want, said(t, tab))
	// What is there counts, and is not logged again.
	require.Equal(t, 2, say(t, tab, 100, &rows, []model.ExemplarRow{exemplars("__name__=m,a=1", 5, 1), exemplars("__name__=m,a=1", 7, 2)}, nil).Exemplars)
	require.True(t, rows.Empty())
	require.Equal(t, int64(2), tab.Stats().Rows)
	require.Equal(t, Stats{Series: 1, Samples: 1, Reserved: 1, Rows: 2, Bytes: tab.Bytes()}, tab.Stats(), "reserved series do not count as series")
	require.Equal(t, int64(3), tab.Days()[0].Samples)

	// Metadata: each row once, also if it comes twice in a batch, and those that differ beside each other.
	for range 2 {
		say(t, tab, 100, &rows, nil, []model.MetadataRow{metadata("m", "one"), metadata("m", "two"), metadata("m", "one"), metadata("m2", "one")})
		require.Zero(t, rows.DroppedMetadata)
	}
	require.True(t, rows.Empty())
	say(t, tab, 50, &rows, nil, []model.MetadataRow{metadata("m", "three")}) // by a clock that went back
	metas := "m 100 one\nm 101 two\nm 102 three\nm2 100 one"
	require.Equal(t, want+"\n"+metas, said(t, tab))
	say(t, tab, 200, &rows, nil, []model.MetadataRow{metadata("", "x"), metadata("\xff", "x"), metadata("a\x00b", "x"), metadata(strings.Repeat("x", 9000), "x")})
	require.Equal(t, 4, rows.DroppedMetadata)

	// The next generation says it once more, though the names are known.
	next := New(nil, tab.Names())
	for range 2 {
		say(t, next, 300, &rows, []model.ExemplarRow{exemplars("__name__=m,a=1", 9, 4)}, []model.MetadataRow{metadata("m", "one")})
	}
	require.Equal(t, `{__name__="m", a="1"} 9 4`+"\nm 300 one", said(t, next))

	// Rows refer to no batch after Reset.
	rows.Reset()
	require.Zero(t, rows.Batch.Histograms[:cap(rows.Batch.Histograms)][0])
}

func TestRowsBounds(t *testing.T) {
	tab := New(&Options{MaxSeries: 1, MaxMetadata: 3, MaxDays: 4}, nil)
	add(t, tab, "a", write{key: "a=1", samples: floats(1, 1)})
	var rows Rows
	for i := range 3 * maxMetadataRows {
		say(t, tab, int64(i), &rows, nil, []model.MetadataRow{metadata("m", fmt.Sprint(i))})
		require.Equal(t, i >= maxMetadataRows, rows.DroppedMetadata == 1)
	}
	for i := range 6 {
		say(t, tab, 5, &rows, nil, []model.MetadataRow{metadata(fmt.Sprint("n", i), "")})
		require.Equal(t, i >= 2, rows.DroppedMetadata == 1, "metrics")
	}
	for i := range 2 * maxExemplarRows {
		say(t, tab, 5, &rows, []model.ExemplarRow{exemplars("a=1", int64(i), 1)}, nil)
		require.Equal(t, i >= maxExemplarRows, rows.DroppedExemplars == 1)
	}
	large := exemplars("a=1", -1, 1)
	large.Row = append(large.Row, make([]byte, maxRowBytes)...)
	require.Equal(t, 1, say(t, tab, 5, &rows, []model.ExemplarRow{large}, nil).DroppedExemplars)

	// Days are limited as those of samples are, and the limit on series is not touched.
	const dayMs = 24 * 3600 * 1000
	b := &model.Batch{Labels: textKeys{}, Metadata: []model.MetadataRow{metadata("n1", "new")}}
	for day := range int64(6) {
		err := tab.ResolveRows("a", b, day*dayMs, &rows)
		if day < 4 {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, model.ErrLimit)
	}
	require.Equal(t, 1, add(t, tab, "a", write{key: "a=2", samples: floats(1, 1)}).RejectedSamples)
}

// A table that is made from a log has the same rows, and knows them as such.
func TestRowsReplayed(t *testing.T) {
	tab := New(nil, nil)
	add(t, tab, "a", write{key: "__name__=m", samples: floats(1, 1)})
	var rows Rows
	say(t, tab, 100, &rows, []model.ExemplarRow{exemplars("__name__=m", 5, 1)}, []model.MetadataRow{metadata("m", "one")})
	again := New(nil, nil)
	bulk := NewBulk(again)
	bulk.Tenant("a")
	for ref := range uint32(tab.Names().Len()) {
		c, _ := contents(tab, ref)
		to := define(t, again, "a", tab.Labels(ref))
		for i := range c.T {
			if c.H != nil && c.H[i] != nil {
				bulk.Histogram(to, c.T[i], c.H[i])
			} else {
				bulk.Float(to, c.T[i], c.V[i])
			}
		}
	}
	bulk.Flush()
	sameTables(t, tab, again)
	require.Equal(t, said(t, tab), said(t, again))
	say(t, again, 200, &rows, []model.ExemplarRow{exemplars("__name__=m", 5, 1)}, []model.MetadataRow{metadata("m", "one")})
	require.True(t, rows.Empty(), "they are there already")
}
