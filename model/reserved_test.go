package model

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// Selectors meet no reserved series unless they are made for them, and those made for exemplars choose as the selector does.
func TestReserved(t *testing.T) {
	series := []labels.Labels{
		labels.FromStrings("__name__", "m", "a", "1"), labels.FromStrings("__name__", "m2", "a", "2"), labels.FromStrings("a", "1"),
		labels.FromStrings("__name__", "ém\n", "b", "1"),
	}
	matches := func(ms []*labels.Matcher, ls labels.Labels) bool {
		for _, m := range ms {
			if !m.Matches(ls.Get(m.Name)) {
				return false
			}
		}
		return true
	}
	all := []*labels.Matcher{}
	for _, typ := range []labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp} {
		for _, name := range []string{"__name__", "a", "none"} {
			for _, value := range []string{"", "m", "1", "m.*", "em"} {
				all = append(all, labels.MustNewMatcher(typ, name, value))
			}
		}
	}
	for _, first := range all {
		for _, second := range all {
			ms := []*labels.Matcher{first, second}
			selected, err := SelectExemplars(ms)
			require.NoError(t, err)
			for _, ls := range series {
				b := labels.NewScratchBuilder(0)
				ExemplarSeries(&b, ls)
				b.Sort()
				reserved := b.Labels()
				require.True(t, Reserved(reserved))
				require.False(t, Reserved(ls))
				back, ok := ExemplarsOf(reserved)
				require.True(t, ok)
				require.Equal(t, ls, back)
				require.Equal(t, matches(ms, ls), matches(HideReserved(ms), ls), "%v %v", ms, ls)
				require.False(t, matches(HideReserved(ms), reserved), "%v %v", ms, reserved)
				require.Equal(t, matches(ms, ls), matches(selected, reserved), "%v %v", ms, ls)
				require.False(t, matches(selected, ls))
				for _, m := range ms {
					value, ok := LabelOf(reserved, m.Name)
					require.True(t, ok)
					require.Equal(t, ls.Get(m.Name), value)
				}
				_, ok = MetadataOf(reserved)
				require.False(t, ok)
			}
			require.False(t, matches(selected, MetadataSeries("m")))
			require.False(t, matches(HideReserved(ms), MetadataSeries("m")))
		}
	}
	metric, ok := MetadataOf(MetadataSeries("up"))
	require.True(t, ok)
	require.Equal(t, "up", metric)
	require.True(t, matches(SelectMetadata("up"), MetadataSeries("up")))
	require.True(t, matches(SelectMetadata(""), MetadataSeries("up")))
	require.False(t, matches(SelectMetadata("u"), MetadataSeries("up")))
	_, ok = LabelOf(MetadataSeries("up"), "__name__")
	require.False(t, ok)
}

func TestRows(t *testing.T) {
	row := BeginExemplars(nil)
	row = AppendText(AppendText(AppendExemplar(row, 1.5, 1), "trace_id"), "abc")
	row = AppendExemplar(row, 2, 0)
	got, err := DecodeExemplars(nil, 7, row)
	require.NoError(t, err)
	require.Equal(t, []Exemplar{{T: 7, V: 1.5, Labels: labels.FromStrings("trace_id", "abc")}, {T: 7, V: 2}}, got)
	for n := range row {
		if _, err := DecodeExemplars(nil, 7, row[:n]); err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
		}
	}
	_, _, _, err = SplitStart(row)
	require.ErrorIs(t, err, ErrCorrupt, "rows are no samples")

	long := make([]byte, 2*MaxHelpBytes)
	for i := range long {
		long[i] = "é"[i%2]
	}
	meta := AppendMetadata(nil, 5, "s", string(long[:MaxHelpBytes-2])+"xé")
	m, err := DecodeMetadata(meta)
	require.NoError(t, err)
	require.Equal(t, "summary", string(m.Type))
	require.Equal(t, uint64(5), MetadataTypeNumber(m.Type))
	require.Equal(t, "s", m.Unit)
	require.Equal(t, string(long[:MaxHelpBytes-2])+"x", m.Help, "cut between characters")
	for n := range meta {
		_, err := DecodeMetadata(meta[:n])
		require.ErrorIs(t, err, ErrCorrupt)
	}
	m, err = DecodeMetadata(AppendMetadata(nil, 99, "", ""))
	require.NoError(t, err)
	require.Equal(t, "unknown", string(m.Type))
}

func FuzzRows(f *testing.F) {
	f.Add(AppendText(AppendText(AppendExemplar(BeginExemplars(nil), 1, 1), "a"), "b"))
	f.Add(AppendMetadata(nil, 1, "s", "help"))
	f.Fuzz(func(t *testing.T, row []byte) {
		if got, err := DecodeExemplars(nil, 1, row); err == nil {
			total := 0
			for _, e := range got {
				e.Labels.Range(func(l labels.Label) { total += len(l.Name) + len(l.Value) })
			}
			require.LessOrEqual(t, total+8*len(got), len(row))
		}
		_, _ = DecodeMetadata(row)
	})
}
